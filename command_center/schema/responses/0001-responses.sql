CREATE TABLE plan_match (
  incident      INTEGER NOT NULL,
  plan          TEXT    NOT NULL,
  instructions  TEXT    NOT NULL,           -- what the dispatcher reads
  units         INTEGER NOT NULL,           -- how many should go
  capabilities  TEXT    NOT NULL,           -- that they should have, separated by commas
  at_ms         INTEGER NOT NULL,
  PRIMARY KEY (incident, plan)
) STRICT, WITHOUT ROWID;

CREATE TABLE plan_step (
  incident      INTEGER NOT NULL,
  number        INTEGER NOT NULL,           -- from 1 within its incident
  plan          TEXT    NOT NULL,
  kind          TEXT    NOT NULL,           -- tell | send_clip | hold_clip | act
  target        TEXT    NOT NULL,
  state         TEXT    NOT NULL,           -- proposed | done | declined
  by            TEXT    NOT NULL DEFAULT '',
  at_ms         INTEGER NOT NULL,
  note          TEXT    NOT NULL DEFAULT '',
  PRIMARY KEY (incident, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX plan_step_proposed ON plan_step (incident) WHERE state = 'proposed';

CREATE TABLE plan_cursor (                  -- how far the journal was looked at for incidents that a plan may fit
  only_row      INTEGER PRIMARY KEY CHECK (only_row = 1),
  upto          INTEGER NOT NULL
) STRICT;

CREATE TABLE handover (
  id            INTEGER PRIMARY KEY,        -- its journal entry
  by            TEXT    NOT NULL,
  role          TEXT    NOT NULL,
  note          TEXT    NOT NULL,
  summary       BLOB    NOT NULL,           -- JSON
  at_ms         INTEGER NOT NULL,
  taken_by      TEXT,
  taken_at_ms   INTEGER,
  taken_note    TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE share (
  id            INTEGER PRIMARY KEY,        -- its journal entry
  incident      INTEGER NOT NULL,
  agency        TEXT    NOT NULL,
  reason        TEXT    NOT NULL,
  by            TEXT    NOT NULL,
  at_ms         INTEGER NOT NULL,
  until_ms      INTEGER NOT NULL,           -- centre's wall clock
  token_sha256  BLOB    NOT NULL UNIQUE,
  seat_sha256   BLOB,                       -- the browser that opened it first
  opened_at_ms  INTEGER,
  ended_at_ms   INTEGER,
  ended_by      TEXT    NOT NULL DEFAULT '',
  ended_why     TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX share_incident ON share (incident);
CREATE INDEX share_open ON share (until_ms) WHERE ended_at_ms IS NULL;
