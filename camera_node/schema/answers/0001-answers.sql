CREATE TABLE answer (                -- one row an alert; times in ms, *_monotonic_ms since the boot that boot_id names
  number                INTEGER PRIMARY KEY,
  alert_id              BLOB    NOT NULL UNIQUE CHECK (length(alert_id) = 32),
  sequence              INTEGER NOT NULL,
  boot_id               TEXT    NOT NULL,
  label                 TEXT    NOT NULL,
  camera                TEXT    NOT NULL,
  zone                  TEXT    NOT NULL,
  rule                  INTEGER NOT NULL,
  track                 INTEGER NOT NULL,
  confidence            REAL    NOT NULL,
  precedence            INTEGER NOT NULL,
  clip_time_ms          INTEGER NOT NULL,      -- place within the clip, when the camera is a file
  sighted_monotonic_ms  INTEGER NOT NULL,
  sighted_wall_ms       INTEGER NOT NULL,
  header_monotonic_ms   INTEGER NOT NULL,
  header_wall_ms        INTEGER NOT NULL,
  spooled_monotonic_ms  INTEGER,               -- after the commit was fsynced
  spooled_wall_ms       INTEGER,
  relayed_monotonic_ms  INTEGER, relayed_wall_ms INTEGER, relayed_by TEXT,
  heard_monotonic_ms    INTEGER, heard_wall_ms   INTEGER, heard_by   TEXT,
  seen_monotonic_ms     INTEGER, seen_wall_ms    INTEGER, seen_by    TEXT,
  seen_state            INTEGER,
  acted_wall_ms         INTEGER,               -- when the person acted, by the centre's clock
  fallback              TEXT    NOT NULL DEFAULT '',
  fallback_wall_ms      INTEGER,
  fallback_detail       TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX answer_unheard ON answer (number) WHERE heard_wall_ms IS NULL;
CREATE TABLE unread (                -- what was addressed to this node and could not be read or followed; kept for a person
  envelope_id           BLOB    PRIMARY KEY,
  at_wall_ms            INTEGER NOT NULL,
  kind                  INTEGER NOT NULL,
  why                   TEXT    NOT NULL,
  wire                  BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
