"""The tables of the schema part "custody". Those in ``TABLES`` follow from the journal; the rest is work in progress."""

from typing import Final

SCHEMA: Final = (
    """
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
""",
    """
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
""",
    """
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
""",
)
TABLES: Final = {"legal_hold": "incident", "erased_object": "sha256", "redaction": "sha256"}
"""What a rebuild compares, and by which order."""
