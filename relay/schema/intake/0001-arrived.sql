CREATE TABLE arrived (
  number                INTEGER PRIMARY KEY,
  wire                  BLOB    NOT NULL,
  via                   BLOB    NOT NULL,
  path                  TEXT    NOT NULL,
  received_wall_ms      INTEGER NOT NULL,
  received_monotonic_ms INTEGER NOT NULL
) STRICT;
