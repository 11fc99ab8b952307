CREATE TABLE clip (                        -- one file; times in ms
  id                    INTEGER PRIMARY KEY,
  camera                TEXT    NOT NULL,
  file                  TEXT    NOT NULL,  -- in the camera's folder
  state                 TEXT    NOT NULL DEFAULT 'recording',
  why                   TEXT    NOT NULL DEFAULT '',
  codec                 TEXT    NOT NULL DEFAULT '',
  width_px              INTEGER NOT NULL DEFAULT 0,
  height_px             INTEGER NOT NULL DEFAULT 0,
  started_monotonic_ms  INTEGER NOT NULL DEFAULT 0,
  started_wall_ms       INTEGER NOT NULL DEFAULT 0,
  duration_ms           INTEGER NOT NULL DEFAULT 0,
  size_bytes            INTEGER NOT NULL DEFAULT 0,
  sha256                BLOB,              -- of the whole file, when it has ended
  ended_wall_ms         INTEGER,
  lost_packets          INTEGER NOT NULL DEFAULT 0,
  next_offset_bytes     INTEGER NOT NULL DEFAULT 0,     -- everything before it was put into the spool at least once
  UNIQUE (camera, file)
) STRICT;
CREATE INDEX clip_state ON clip (state, id);
CREATE TABLE clip_segment (
  clip          INTEGER NOT NULL REFERENCES clip ON DELETE CASCADE,
  number        INTEGER NOT NULL,
  offset_bytes  INTEGER NOT NULL,
  size_bytes    INTEGER NOT NULL,
  sha256        BLOB    NOT NULL,
  PRIMARY KEY (clip, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE clip_alert (                  -- the alerts that a clip shows, and the exhibit that says so
  clip          INTEGER NOT NULL REFERENCES clip ON DELETE CASCADE,
  alert_id      BLOB    NOT NULL,
  exhibit_id    BLOB,                      -- the envelope's; NULL: not spooled yet
  series        INTEGER,
  sequence      INTEGER,
  is_heard      INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (clip, alert_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE clip_chunk (                  -- bytes under way: in the spool, without a known receipt
  clip          INTEGER NOT NULL REFERENCES clip ON DELETE CASCADE,
  offset_bytes  INTEGER NOT NULL,
  size_bytes    INTEGER NOT NULL,
  envelope_id   BLOB    NOT NULL,
  series        INTEGER NOT NULL,
  sequence      INTEGER NOT NULL,
  PRIMARY KEY (clip, offset_bytes)
) STRICT, WITHOUT ROWID;
CREATE TABLE clip_tally (name TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;
