-- The spool. Times are ms; *_monotonic_ms counts from the boot that `opening` names.

CREATE TABLE opening (                      -- one row a start, so that half-finished work of an earlier run can be told apart
  id                INTEGER PRIMARY KEY,
  boot_id           TEXT    NOT NULL,       -- from the kernel
  at_wall_ms        INTEGER NOT NULL,
  at_monotonic_ms   INTEGER NOT NULL
) STRICT;

CREATE TABLE stream (                       -- our own numbering towards one destination
  destination       BLOB    PRIMARY KEY CHECK (length(destination) = 8),  -- all zero: the authority
  series            INTEGER NOT NULL CHECK (series BETWEEN 1 AND 4294967295),
  boot              INTEGER NOT NULL CHECK (boot BETWEEN 1 AND 65535),
  last_sequence     INTEGER NOT NULL CHECK (last_sequence BETWEEN 0 AND 4294967295),
  link              BLOB    NOT NULL CHECK (length(link) = 8)             -- of the header with last_sequence
) STRICT;

CREATE TABLE envelope (                     -- everything in our custody: our own, and what we carry for others
  number            INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of arrival here
  id                BLOB    NOT NULL CHECK (length(id) = 32),
  origin            BLOB    NOT NULL CHECK (length(origin) = 8),
  destination       BLOB    NOT NULL CHECK (length(destination) = 8),
  series            INTEGER NOT NULL,
  sequence          INTEGER NOT NULL CHECK (sequence > 0),
  kind              INTEGER NOT NULL,
  precedence        INTEGER NOT NULL CHECK (precedence BETWEEN 0 AND 4),
  ttl_s             INTEGER NOT NULL,       -- 0: for ever
  opening           INTEGER NOT NULL REFERENCES opening (id),
  put_monotonic_ms  INTEGER NOT NULL,
  put_wall_ms       INTEGER NOT NULL,       -- for people only
  size_bytes        INTEGER NOT NULL CHECK (size_bytes = length(wire)),
  wire              BLOB    NOT NULL,
  UNIQUE (origin, destination, series, sequence, id)
) STRICT;
CREATE INDEX envelope_by_urgency ON envelope (precedence, number);

CREATE TABLE usage (                        -- sums over `envelope`, kept by the triggers below
  precedence        INTEGER PRIMARY KEY,
  envelopes         INTEGER NOT NULL,
  bytes             INTEGER NOT NULL
) STRICT;
INSERT INTO usage VALUES (0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0);
CREATE TRIGGER envelope_in AFTER INSERT ON envelope BEGIN
  UPDATE usage SET envelopes = envelopes + 1, bytes = bytes + new.size_bytes WHERE precedence = new.precedence;
END;
CREATE TRIGGER envelope_out AFTER DELETE ON envelope BEGIN
  UPDATE usage SET envelopes = envelopes - 1, bytes = bytes - old.size_bytes WHERE precedence = old.precedence;
END;

CREATE TABLE receipt (                      -- the furthest receipt that we hold for each series
  origin            BLOB    NOT NULL,
  destination       BLOB    NOT NULL,       -- all zero: the authority's; else the node that signed
  series            INTEGER NOT NULL,
  stored            INTEGER NOT NULL,       -- how many numbers it covers: a later receipt never covers fewer
  wire              BLOB    NOT NULL,
  PRIMARY KEY (origin, destination, series)
) STRICT, WITHOUT ROWID;

CREATE TABLE forgone (                      -- our own numbers that will never come, reported in every heartbeat until receipted
  destination       BLOB    NOT NULL,
  series            INTEGER NOT NULL,
  first             INTEGER NOT NULL,
  last              INTEGER NOT NULL,
  reason            TEXT    NOT NULL,       -- expired, evicted, damaged
  PRIMARY KEY (destination, series, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE damaged (                      -- rows that the check command took out, kept for a person to look at
  at_wall_ms        INTEGER NOT NULL,
  why               TEXT    NOT NULL,
  sequence          INTEGER,
  wire              BLOB
) STRICT;

CREATE TABLE tally (                        -- what left the spool without a receipt, for good
  name              TEXT    PRIMARY KEY,
  count             INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
