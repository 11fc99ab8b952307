/** The shapes of what administrators and auditors keep: machines that wait, holds, redactions, witnesses. Times are ms since 1970 UTC. */

export interface WaitingMachine {
  name: string;
  role: string;
  site: string;
  /** Its id: the machine shows the same one. */
  node: string;
}

export interface MadeInvite {
  code: string;
  command: string;
  expires_at_ms: number;
}

export interface Hold {
  incident: number;
  number: string;
  by: string;
  reason: string;
  at_ms: number;
  told: number;
  gone: number;
  waiting: number;
}

export interface Redaction {
  sha256: string;
  mode: string;
  regions_px: [number, number, number, number][];
  by: string;
  reason: string;
  at_ms: number;
  entry: number;
  /** Numbers of those whose picture it is. */
  incidents: string[];
}

/** What a redaction is about. */
export interface RedactionSubject {
  sha256: string;
  media_type: string;
  width_px: number;
  height_px: number;
  is_here: boolean;
}

export interface WitnessWord {
  target: string;
  size: number;
  at_ms: number;
  cosignature: string;
  problem: string;
}

export interface WitnessedLog {
  origin: string;
  size: number;
  note: string;
  at_ms: number;
}
