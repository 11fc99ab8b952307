CREATE TABLE published_checkpoint (         -- checkpoints that others were given: bags prove that history still begins with them
  size   INTEGER PRIMARY KEY,
  at_ms  INTEGER NOT NULL,
  note   TEXT    NOT NULL
) STRICT;

CREATE TABLE witness_word (                 -- what each witness last made of our checkpoints
  target      TEXT    PRIMARY KEY,
  size        INTEGER NOT NULL DEFAULT 0,   -- the last one that it has; it is told how the next one grew from it
  at_ms       INTEGER NOT NULL,
  cosignature TEXT    NOT NULL DEFAULT '',
  problem     TEXT    NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE TABLE witnessed (                    -- other centres' checkpoints that this one keeps and has signed
  origin  TEXT    PRIMARY KEY,
  size    INTEGER NOT NULL,
  root    BLOB    NOT NULL,
  note    TEXT    NOT NULL,
  at_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
