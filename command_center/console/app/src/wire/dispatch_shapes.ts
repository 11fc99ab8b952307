/** The shapes of units, notes, plans, handovers and places, as the console reads them. Times are ms since 1970 UTC. */

import type { Incident } from "./shapes";

export interface Unit {
  name: string;
  version: number;
  agency: string;
  capabilities: string[];
  status: string;
  status_at_ms: number;
  status_by: string;
  note: string;
  incident: number | null;
  position: { lat: number; lon: number; accuracy_m: number | null; at_ms: number; source: string } | null;
  heard_at_ms: number;
  /** Reminders since it was last heard; 0: none. */
  welfare_level: number;
  /** What its status may become. */
  steps: string[];
}

export interface Recommendation {
  unit: string;
  version: number;
  status: string;
  is_free: boolean;
  distance_m: number | null;
  lacks: string[];
  reasons: string[];
}

export interface Note {
  id: number;
  by: string;
  role: string;
  text: string;
  at_ms: number;
}

export interface PlanStep {
  number: number;
  plan: string;
  kind: string;
  target: string;
  for_s?: number;
  outcome?: "" | "done" | "under_way" | "refused";
  outcome_detail?: string;
  state: "proposed" | "done" | "declined";
  by: string;
  at_ms: number;
  note: string;
}

export interface PlanCard {
  plan: string;
  instructions: string;
  units: number;
  capabilities: string[];
  steps: PlanStep[];
}

export interface Share {
  id: number;
  agency: string;
  reason: string;
  by: string;
  at_ms: number;
  until_ms: number;
  opened_at_ms: number | null;
  ended_at_ms: number | null;
}

export interface Assignment {
  unit: string;
  assigned_by: string;
  assigned_at_ms: number;
  en_route_at_ms: number | null;
  on_scene_at_ms: number | null;
  ended_at_ms: number | null;
  ended_as: string;
}

/** Everything that people do about an incident. */
export interface IncidentResponse {
  plans?: PlanCard[];
  assignments: Assignment[];
  units: Unit[];
  notes: Note[];
  shares?: Share[];
}

export interface Assigned {
  incident: Incident;
  unit: Unit;
}

export interface Place {
  name: string;
  lat: number;
  lon: number;
}

export interface HandoverSummary {
  made_at_ms: number;
  since_ms: number;
  incidents: { id: number; number: string; state: string; precedence: Incident["precedence"]; label: string; site: string; node: string; camera: string; quiet: string; acknowledged_by: string | null; returned: boolean; first_alert_at_ms: number }[];
  units: { name: string; status: string; status_at_ms: number; incident: number | null; heard_at_ms: number; welfare_level: number }[];
  shelves: { id: number; node: string; camera: string; label: string; reason: string; by: string; until_ms: number }[];
  dead_callbacks: { id: string; receiver: string; event: string; incident: number; last_answer: string }[];
  notes: { id: number; incident: number; by: string; text: string; at_ms: number }[];
  plan_steps: { incident: number; number: number; plan: string; kind: string; target: string }[];
  shares: { id: number; incident: number; agency: string; until_ms: number }[];
}

export interface Handover {
  id: number;
  by: string;
  role: string;
  note: string;
  at_ms: number;
  taken_by: string | null;
  taken_at_ms: number | null;
  taken_note: string;
  summary: HandoverSummary;
}

export interface HandoverPage {
  now: HandoverSummary;
  last: Handover | null;
}
