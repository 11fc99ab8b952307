CREATE TABLE spending (                     -- what each metered path has cost in its current day and month
  path            TEXT    NOT NULL,
  period          TEXT    NOT NULL CHECK (period IN ('day', 'month')),
  began_age_ms    INTEGER NOT NULL,         -- of the spending clock
  bytes           INTEGER NOT NULL,         -- both directions, a lease included; money is these times the tariff
  PRIMARY KEY (path, period)
) STRICT, WITHOUT ROWID;
CREATE TABLE spending_clock (               -- how long this machine has been counting, over all boots
  only_row        INTEGER PRIMARY KEY CHECK (only_row = 1),
  boot_id         TEXT    NOT NULL,
  monotonic_ms    INTEGER NOT NULL,
  age_ms          INTEGER NOT NULL
) STRICT;
