CREATE TABLE snapshot_part (         -- envelopes that carry an alert's picture: the exhibit and its chunks
  number        INTEGER PRIMARY KEY,
  alert_id      BLOB NOT NULL,
  envelope_id   BLOB NOT NULL
) STRICT;
CREATE INDEX snapshot_part_alert ON snapshot_part (alert_id);
