/** The shapes of accounts, as the console reads them. Times are ms since 1970 UTC. */

export interface SessionRow {
  id: string;
  address: string;
  agent: string;
  opened_at_ms: number;
  used_at_ms: number;
  is_this: boolean;
}

export interface TokenRow {
  id: string;
  name: string;
  scopes: string[];
  created_at_ms: number;
  expires_at_ms: number;
  used_at_ms: number | null;
  used_from: string;
  revoked_at_ms: number | null;
}

export interface OwnAccountFacts {
  username: string;
  role: string;
  is_external: boolean;
  has_second_factor: boolean;
  recovery_codes_left: number;
  sessions: SessionRow[];
  tokens: TokenRow[];
  possible_scopes: string[];
}

export interface AccountRow {
  name: string;
  role: string;
  unit: string;
  is_disabled: boolean;
  is_external: boolean;
  must_change: boolean;
  has_second_factor: boolean;
  needs_second_factor: boolean;
  created_at_ms: number;
  session_count: number;
}
