CREATE TABLE incident (
  id                  INTEGER PRIMARY KEY,
  version             INTEGER NOT NULL,
  state               TEXT    NOT NULL,
  node                BLOB    NOT NULL,
  camera              TEXT    NOT NULL,
  label               TEXT    NOT NULL,
  zone                TEXT    NOT NULL,
  precedence          INTEGER NOT NULL,
  is_quarantined      INTEGER NOT NULL,
  confidence          REAL    NOT NULL,     -- the highest of its alerts, 0 … 1
  rule                TEXT    NOT NULL,
  alert_count         INTEGER NOT NULL,
  first_alert_at_ms   INTEGER NOT NULL,     -- centre's wall clock at receipt
  last_alert_at_ms    INTEGER NOT NULL,
  sighted_at_ms       INTEGER NOT NULL,     -- node's wall clock at the first alert's sighting
  clock_quality       TEXT    NOT NULL,     -- of that clock
  x1 REAL NOT NULL, y1 REAL NOT NULL, x2 REAL NOT NULL, y2 REAL NOT NULL,   -- of its most confident alert, 0 … 1
  series              INTEGER NOT NULL,     -- of the last sighting
  boot                INTEGER NOT NULL,
  first_series        INTEGER NOT NULL,
  first_boot          INTEGER NOT NULL,
  first_monotonic_ms  INTEGER NOT NULL,     -- node's monotonic clock, first and last sighting
  last_monotonic_ms   INTEGER NOT NULL,
  first_received_ms   INTEGER NOT NULL,
  snapshot_sha256     BLOB,                 -- picture of its most confident alert that has one
  snapshot_confidence REAL    NOT NULL DEFAULT -1,
  acknowledged_by     TEXT,
  acknowledged_role   TEXT,
  acknowledged_at_ms  INTEGER,
  closed_by           TEXT,
  closed_at_ms        INTEGER,
  disposition         TEXT,
  note                TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX incident_place ON incident (node, camera, label, is_quarantined) WHERE state <> 'closed';
CREATE INDEX incident_open ON incident (id) WHERE state <> 'closed';

CREATE TABLE alert (
  id                    BLOB    PRIMARY KEY,  -- the envelope's
  entry                 INTEGER NOT NULL,     -- in the journal
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
  age_ms                INTEGER NOT NULL,     -- sighting to signing, node's monotonic clock
  quality               INTEGER NOT NULL,
  series                INTEGER NOT NULL,
  boot                  INTEGER NOT NULL,
  sequence              INTEGER NOT NULL,
  header_wall_ms        INTEGER NOT NULL,
  header_monotonic_ms   INTEGER NOT NULL,
  received_wall_ms      INTEGER NOT NULL,     -- centre's clocks
  received_monotonic_ms INTEGER NOT NULL,
  via                   BLOB    NOT NULL,
  path                  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_incident ON alert (incident, entry);

CREATE TABLE exhibit_item (
  alert_id        BLOB    NOT NULL,
  node            BLOB    NOT NULL,           -- whose exhibit it is: only the alert's own node can show its pictures
  sha256          BLOB    NOT NULL,
  media_type      TEXT    NOT NULL,
  size_bytes      INTEGER NOT NULL,
  chunk_bytes     INTEGER NOT NULL,
  width_px        INTEGER NOT NULL,
  height_px       INTEGER NOT NULL,
  captured_wall_ms INTEGER NOT NULL,
  PRIMARY KEY (alert_id, node, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX exhibit_object ON exhibit_item (sha256);

CREATE TABLE stored_object (                -- the bytes are in blobs/, durable and with the right hash
  sha256      BLOB    PRIMARY KEY,
  size_bytes  INTEGER NOT NULL,
  media_type  TEXT    NOT NULL,
  stored_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE incoming (                     -- objects whose bytes are not complete yet
  node           BLOB    NOT NULL,
  sha256         BLOB    NOT NULL,
  size_bytes     INTEGER,                   -- NULL until the exhibit says so
  chunk_bytes    INTEGER,
  media_type     TEXT    NOT NULL DEFAULT '',
  received_bytes INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (node, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX incoming_due ON incoming (node) WHERE size_bytes IS NOT NULL AND received_bytes >= size_bytes;

CREATE TABLE piece (
  node         BLOB    NOT NULL,
  sha256       BLOB    NOT NULL,
  offset_bytes INTEGER NOT NULL,
  content      BLOB    NOT NULL,
  PRIMARY KEY (node, sha256, offset_bytes)
) STRICT;

CREATE TABLE hop (                          -- measurements, ms on this centre's monotonic clock
  alert_id                BLOB PRIMARY KEY,
  committed_monotonic_ms  INTEGER NOT NULL,
  spooled_to_stored_ms    INTEGER,          -- NULL where the two clocks can't be compared
  stored_to_receipt_ms    REAL
) STRICT, WITHOUT ROWID;

CREATE TABLE sent_acknowledgement (
  envelope_id             BLOB    PRIMARY KEY,
  incident                INTEGER NOT NULL,
  put_monotonic_ms        INTEGER NOT NULL,
  boot_id                 TEXT    NOT NULL,
  to_node_ms              INTEGER           -- until the node's receipt came
) STRICT, WITHOUT ROWID;
CREATE INDEX sent_acknowledgement_incident ON sent_acknowledgement (incident);

CREATE TABLE owed (                         -- envelopes to put into the spool as soon as the station runs
  id       INTEGER PRIMARY KEY,
  kind     TEXT    NOT NULL,                -- acknowledgement | roster
  incident INTEGER NOT NULL DEFAULT 0,
  alert_id BLOB    NOT NULL DEFAULT x''
) STRICT;

CREATE TABLE event (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  kind    TEXT    NOT NULL,                 -- incident | node
  subject TEXT    NOT NULL                  -- the incident's number, or the node's id in hexadecimal
) STRICT;
