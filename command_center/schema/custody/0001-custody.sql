CREATE TABLE legal_hold (                   -- incidents whose evidence may not go, here or at a node
  incident    INTEGER PRIMARY KEY,
  by          TEXT    NOT NULL,
  reason      TEXT    NOT NULL,
  at_ms       INTEGER NOT NULL
) STRICT;

CREATE TABLE erased_object (                -- tombstones: the bytes were deleted, what was signed about them stands
  sha256      BLOB    PRIMARY KEY,
  size_bytes  INTEGER NOT NULL,
  media_type  TEXT    NOT NULL,
  entry       INTEGER NOT NULL,             -- in the journal
  at_ms       INTEGER NOT NULL,
  reason      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE redaction (                    -- how pictures are given away
  sha256      BLOB    PRIMARY KEY,
  mode        TEXT    NOT NULL,
  regions_px  TEXT    NOT NULL,             -- JSON: [[left, top, width, height], …]
  by          TEXT    NOT NULL,
  reason      TEXT    NOT NULL,
  entry       INTEGER NOT NULL,
  at_ms       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE unlinking (                    -- files to delete: the tombstone is durable, the file may still be there
  sha256      BLOB    PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE clip_order (                   -- what nodes were or are to be asked about clips, and what they said
  id             INTEGER PRIMARY KEY,
  envelope_id    BLOB    UNIQUE,            -- NULL: not in the spool yet
  node           BLOB    NOT NULL,
  alert_id       BLOB    NOT NULL,
  verb           TEXT    NOT NULL,          -- send | hold | release
  reason         TEXT    NOT NULL,
  at_ms          INTEGER NOT NULL,
  outcome        INTEGER,                   -- relay.kinds.answer.Outcome; NULL: no answer yet
  detail         TEXT    NOT NULL DEFAULT '',
  answered_at_ms INTEGER
) STRICT;
CREATE INDEX clip_order_due ON clip_order (id) WHERE envelope_id IS NULL AND outcome IS NULL;
CREATE INDEX clip_order_alert ON clip_order (alert_id, verb, id);
