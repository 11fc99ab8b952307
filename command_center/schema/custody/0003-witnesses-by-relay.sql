CREATE TABLE submitted_checkpoint (         -- came by relay from another agency, and waits for this centre's word
  envelope_id BLOB PRIMARY KEY,
  node        BLOB NOT NULL,                -- the station of theirs that sent it
  body        BLOB NOT NULL                 -- relay.kinds.checkpoint
) STRICT, WITHOUT ROWID;

CREATE TABLE pinned_log (                   -- whose journal each such station speaks for: the first that it showed, for good
  node        BLOB PRIMARY KEY,
  origin      TEXT NOT NULL UNIQUE,
  key         BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE cosignature (                  -- what witnesses signed of our checkpoints; bags carry it
  size    INTEGER NOT NULL,
  witness TEXT    NOT NULL,                 -- as in witness_word
  line    TEXT    NOT NULL,                 -- C2SP cosignature v1
  PRIMARY KEY (size, witness)
) STRICT, WITHOUT ROWID;
