CREATE TABLE look (                  -- what an alert looked like; times in ms, boxes as fractions of the frame
  alert_id       BLOB PRIMARY KEY CHECK (length(alert_id) = 32),
  number         INTEGER NOT NULL,   -- in which order they came
  camera         TEXT NOT NULL,
  label          TEXT NOT NULL,
  x1 REAL NOT NULL, y1 REAL NOT NULL, x2 REAL NOT NULL, y2 REAL NOT NULL,
  look           BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX look_number ON look (number);
CREATE TABLE suppression (
  alert_id       BLOB PRIMARY KEY CHECK (length(alert_id) = 32),
  instruction_id BLOB NOT NULL,      -- the signed envelope that ordered it
  ordered_by     TEXT NOT NULL,
  reason         TEXT NOT NULL,
  since_wall_ms  INTEGER NOT NULL,
  until_wall_ms  INTEGER NOT NULL,
  left_ms        INTEGER NOT NULL,   -- of the time that this node is on
  camera         TEXT NOT NULL,
  label          TEXT NOT NULL,
  x1 REAL NOT NULL, y1 REAL NOT NULL, x2 REAL NOT NULL, y2 REAL NOT NULL,
  look           BLOB NOT NULL
) STRICT, WITHOUT ROWID;
