CREATE TABLE entry (
  id       INTEGER PRIMARY KEY,             -- from 1, no gaps
  at_ms    INTEGER NOT NULL,                -- this centre's wall clock
  kind     TEXT    NOT NULL,
  actor    TEXT    NOT NULL,                -- node:<id>, user:<name>, center
  subject  TEXT    NOT NULL,                -- incident:<id>, node:<id>, user:<name>, …
  payload  BLOB    NOT NULL,                -- by kind; for envelopes the exact wire bytes are inside
  leaf     BLOB    NOT NULL
) STRICT;
CREATE INDEX entry_subject ON entry (subject, id);

CREATE TABLE tree_hash (                    -- complete subtrees only; never changed
  level    INTEGER NOT NULL,
  position INTEGER NOT NULL,
  hash     BLOB    NOT NULL,
  PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoint (
  size     INTEGER PRIMARY KEY,
  at_ms    INTEGER NOT NULL,
  note     TEXT    NOT NULL
) STRICT;
