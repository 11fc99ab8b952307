CREATE TABLE passage (                        -- an alert's time at one station, as that station says
  alert             BLOB    NOT NULL CHECK (length(alert) = 8),   -- how its id begins
  teller            BLOB    NOT NULL,
  came_from         BLOB    NOT NULL,         -- empty: raised there, or not known any more
  came_over         TEXT    NOT NULL,
  had_ms            INTEGER NOT NULL,         -- teller's monotonic clock; -1: not known
  heard_ms          INTEGER NOT NULL,
  boot_instant_ms   INTEGER NOT NULL,         -- teller's wall clock minus its monotonic one
  clock_quality     INTEGER NOT NULL,
  PRIMARY KEY (alert, teller)
) STRICT, WITHOUT ROWID;

CREATE TABLE leg (                            -- an alert went over one path to one neighbor
  alert             BLOB    NOT NULL,
  teller            BLOB    NOT NULL,
  recipient         BLOB    NOT NULL,
  path              TEXT    NOT NULL,
  carrier           TEXT    NOT NULL,
  provider          TEXT    NOT NULL,
  is_metered        INTEGER NOT NULL,
  sent_ms           INTEGER NOT NULL,
  answered_ms       INTEGER NOT NULL,         -- -1: no answer yet
  tries             INTEGER NOT NULL,
  is_receipt        INTEGER NOT NULL,
  PRIMARY KEY (alert, teller, recipient, path)
) STRICT, WITHOUT ROWID;
