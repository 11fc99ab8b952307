CREATE TABLE clip_hold (                   -- alerts whose clips must stay
  alert_id       BLOB    PRIMARY KEY,
  reason         TEXT    NOT NULL,
  until_wall_ms  INTEGER NOT NULL,         -- 0: until it is released
  at_wall_ms     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE clip_wanted (                 -- alerts whose clips a person asked for
  alert_id       BLOB    PRIMARY KEY,
  at_wall_ms     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE clip_word (                   -- answers that are not spooled yet
  id             INTEGER PRIMARY KEY,
  instruction_id BLOB    NOT NULL UNIQUE,
  outcome        INTEGER NOT NULL,
  detail         TEXT    NOT NULL
) STRICT;
