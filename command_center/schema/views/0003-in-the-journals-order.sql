CREATE TABLE alert_by_entry (               -- in the journal's order: an alert's row is appended, not put somewhere in the middle
  id                    BLOB    NOT NULL,   -- the envelope's
  entry                 INTEGER PRIMARY KEY,  -- in the journal
  incident              INTEGER NOT NULL,
  node                  BLOB    NOT NULL,
  label                 TEXT    NOT NULL,
  camera                TEXT    NOT NULL,
  zone                  TEXT    NOT NULL,
  precedence            INTEGER NOT NULL,
  confidence            REAL    NOT NULL,
  rule                  TEXT    NOT NULL,
  track                 INTEGER NOT NULL,
  x1 REAL NOT NULL, y1 REAL NOT NULL, x2 REAL NOT NULL, y2 REAL NOT NULL,
  model_sha256_prefix   BLOB    NOT NULL,
  age_ms                INTEGER NOT NULL,   -- sighting to signing, node's monotonic clock
  quality               INTEGER NOT NULL,
  series                INTEGER NOT NULL,
  boot                  INTEGER NOT NULL,
  sequence              INTEGER NOT NULL,
  header_wall_ms        INTEGER NOT NULL,
  header_monotonic_ms   INTEGER NOT NULL,
  received_wall_ms      INTEGER NOT NULL,   -- center's clocks
  received_monotonic_ms INTEGER NOT NULL,
  via                   BLOB    NOT NULL,
  path                  TEXT    NOT NULL,
  retracted_at_ms       INTEGER,
  retraction            TEXT    NOT NULL
) STRICT;
INSERT INTO alert_by_entry SELECT * FROM alert ORDER BY entry;
CREATE TABLE hop_by_entry (                 -- measurements, ms on this center's monotonic clock
  entry                   INTEGER PRIMARY KEY,  -- the alert's
  committed_monotonic_ms  INTEGER NOT NULL,
  spooled_to_stored_ms    INTEGER,          -- NULL where the two clocks can't be compared
  stored_to_receipt_ms    REAL
) STRICT;
INSERT INTO hop_by_entry SELECT a.entry, h.committed_monotonic_ms, h.spooled_to_stored_ms, h.stored_to_receipt_ms
  FROM hop h JOIN alert a ON a.id = h.alert_id ORDER BY a.entry;
DROP TABLE hop;
DROP TABLE alert;
ALTER TABLE alert_by_entry RENAME TO alert;
ALTER TABLE hop_by_entry RENAME TO hop;
CREATE UNIQUE INDEX alert_id ON alert (id);
CREATE INDEX alert_incident ON alert (incident);  -- and by entry, which is its row's number
