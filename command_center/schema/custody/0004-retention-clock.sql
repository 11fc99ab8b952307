CREATE TABLE retention_clock (              -- one row: what retention last saw of the clock
  one         INTEGER PRIMARY KEY CHECK (one = 1),
  seen_at_ms  INTEGER NOT NULL,             -- this center's wall clock
  rests_ms    INTEGER NOT NULL              -- how much longer nothing is deleted, in time that this center runs; 0: it goes on
) STRICT;
