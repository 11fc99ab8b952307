/** The shapes of the command center's HTTP API as the console reads them. Times are milliseconds since 1970 UTC. */

export type Precedence = "FLASH" | "IMMEDIATE" | "PRIORITY" | "ROUTINE" | "BULK";
export type Disposition = "false_alarm" | "handled" | "gone_on_arrival" | "building_secure" | "duplicate" | "cancelled" | "test";
export type Role = "dispatcher" | "supervisor" | "auditor" | "administrator" | string;

export interface Session {
  username: string;
  role: Role;
  csrf: string;
  /** `full`, or the next step of the sign-in. */
  stage?: "full" | "second_factor" | "enrollment" | "password";
  permissions?: string[];
}

export interface Enrollment {
  secret: string;
  /** `otpauth://…` */
  uri: string;
}

export interface NodeName {
  id: string;
  name: string;
  site: string;
}

export interface Hops {
  sighting_to_spooled_ms: number | null;
  spooled_to_stored_ms: number | null;
  stored_to_receipt_ms: number | null;
  acknowledged_to_node_ms: number | null;
}

export interface Incident {
  id: number;
  number: string;
  version: number;
  state: "unacknowledged" | "acknowledged" | "closed";
  label: string;
  camera: string;
  node: NodeName;
  zone: string;
  precedence: Precedence;
  confidence: number;
  rule: string;
  alert_count: number;
  first_alert_at_ms: number;
  last_alert_at_ms: number;
  sighted_at_ms: number | null;
  clock_quality: string;
  snapshot_url: string | null;
  box_xyxy: number[];
  acknowledged_by: string | null;
  acknowledged_at_ms: number | null;
  quarantined: boolean;
  hops: Hops;
  /** Notified again so far: 1 again, 2 second position, 3 supervisor. */
  level?: number;
  quiet?: "" | "shelved" | "flood";
  returned?: boolean;
  merged_into?: number | null;
  parts?: number[];
  /** Units that are assigned to it, and how far each is. */
  responding?: { unit: string; status: string }[];
  disposition?: Disposition | null;
  closed_by?: string | null;
  closed_at_ms?: number | null;
  note?: string;
  /** Only where the whole incident was asked for. */
  alerts?: AlertFacts[];
  clips?: ClipFacts[];
  timeline?: TimelineEntry[];
  units?: UnitWord[];
}

export interface AlertFacts {
  id?: string;
  sequence?: number;
  path?: string;
  received_wall_ms?: number;
  confidence?: number;
  label?: string;
  snapshot_url?: string | null;
  box_xyxy?: number[];
  hops?: Hops;
  journey?: Journey | null;
}

/** An alert's whole way, as its stations tell. Times are ms, on each station's own clock. */
export interface Journey {
  hops: {
    station: NodeName; to: NodeName | null; held_ms: number | null; path: string; provider: string; metered: boolean; answered_ms: number | null; answer: string; tries: number;
  }[];
  copies: { station: NodeName; path: string; provider: string; answered_ms: number | null }[];
  total_ms: number | null;
  /** Who owns the delay, in words. */
  owner: string;
  whole: boolean;
}

export interface ClipFacts {
  sha256: string;
  size_bytes: number;
  begins_at_ms: number;
  url: string | null;
}

export interface TimelineEntry {
  at_ms: number;
  /** The entry's kind. */
  what: string;
  /** The same as people say it. */
  said?: string;
  who: string;
  detail: string;
}

export interface UnitWord {
  unit: string;
  state: string;
  at_ms: number;
}

/** One page of the queue; events after `watermark` of the first page continue from it. */
export interface IncidentPage {
  watermark: number;
  incidents: Incident[];
  /** Where the next page begins; null or absent: this was the last. */
  next?: string | null;
  /** How many there are in all pages. */
  total?: number;
  /** The highest id at that moment: what is above it came since. */
  newest?: number;
}

export interface Shelving {
  node: string;
  camera: string;
  label: string;
  reason: string;
  minutes: number;
  covers_flash: boolean;
}

export interface Shelf {
  id: number;
  node: NodeName;
  camera: string;
  label: string;
  reason: string;
  by: string;
  at_ms: number;
  until_ms: number;
  covers_flash: boolean;
  agreed_by: string | null;
}

export interface CameraFacts {
  camera: string;
  state: string;
  frames_per_s: number;
  detail: string;
}

export interface PathFacts {
  path: string;
  is_up: boolean;
  rtt_ms: number;
  /** How old the last word over it was when the node said so. */
  heard_age_ms?: number;
  bytes_sent?: number;
}

export interface FleetNode {
  id: string;
  name: string;
  role: string;
  site: string;
  /** Whose it is. */
  agency?: string;
  passport_until_ms?: number;
  state: "waiting" | "live" | "late" | "silent" | "quarantined" | "revoked";
  reason?: string;
  last_heard_at_ms: number | null;
  last_heard_age_ms: number | null;
  interval_s: number;
  gaps: [number, number][];
  missing: number;
  forgone: number;
  backlog: number[];
  oldest_waiting_s: number;
  cameras: CameraFacts[];
  paths: PathFacts[];
  /** What its spool still takes: free, alerts_only, disk_full (alerts only), none. */
  room?: string;
  /** What it refused since it started, by name. */
  refusals?: Record<string, number>;
  model: string;
  release: string;
}

export interface StandbyState {
  address: string;
  is_in_step: boolean;
  why_not: string;
  since_ms: number | null;
}

export interface QualityRow {
  node: NodeName;
  camera: string;
  label: string;
  model_sha256_prefix: string;
  incidents: number;
  real: number;
  not_real: number;
  precision: number | null;
}

/** A false alarm that its node does not tell again. */
export interface Suppression {
  alert_id: string;
  incident: number;
  node: string;
  camera: string;
  label: string;
  by: string;
  reason: string;
  since_ms: number;
  /** 0: it was ended. */
  until_ms: number;
  /** What its node answered to the order: done, under_way, refused; empty or missing: nothing yet. */
  outcome?: string;
  outcome_detail?: string;
}

export interface SuppressionList {
  /** In force. */
  suppressions: Suppression[];
  /** Ended by a person, and their nodes have not said so yet. */
  ending?: Suppression[];
}
