/** The shapes of the auditor's pages. Times are ms since 1970 UTC. */

export interface AuditEntry {
  id: number;
  at_ms: number;
  kind: string;
  /** The kind as people say it. */
  said: string;
  actor: string;
  /** The actor by name: a person with the role that they had then, a node by its name. */
  by: string;
  subject: string;
  /** The subject by name or number. */
  about: string;
  detail: string;
}

/** What an entry may be of. */
export interface AuditKind {
  kind: string;
  said: string;
  is_look: boolean;
}

/** How far the searches' index is behind: so many entries are looked through one by one. */
export interface IndexLag {
  entries: number;
  /** When the newest entry was written that is in the index; null: none is. */
  until_ms: number | null;
}

export interface Look {
  id: number;
  at_ms: number;
  who: string;
  by: string;
  what: string;
  said: string;
  subject: string;
  about: string;
  detail: string;
}

export interface ExportJob {
  id: string;
  by: string;
  selection: string;
  state: "waiting" | "running" | "done" | "failed" | "stopped";
  phase: string;
  done_bytes: number;
  total_bytes: number;
  created_at_ms: number;
  finished_at_ms: number | null;
  size_bytes: number;
  tag_manifest_sha256: string | null;
  authority: string | null;
  missing: string[];
  problem: string;
  file_url: string | null;
}

export interface Verification {
  name: string;
  passed: boolean;
  claims: string[];
  problem: string;
}
