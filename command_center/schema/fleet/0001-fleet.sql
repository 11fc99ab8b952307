CREATE TABLE node (
  id             BLOB    PRIMARY KEY,
  name           TEXT    NOT NULL,
  role           INTEGER NOT NULL,
  site           TEXT    NOT NULL,
  standing       TEXT    NOT NULL,          -- approved | quarantined | revoked
  reason         TEXT    NOT NULL,
  serial         INTEGER NOT NULL,
  passport       BLOB    NOT NULL           -- as signed
) STRICT, WITHOUT ROWID;
CREATE INDEX node_name ON node (name);

CREATE TABLE last_word (
  node            BLOB    PRIMARY KEY,
  at_wall_ms      INTEGER NOT NULL,         -- centre's clocks
  at_monotonic_ms INTEGER NOT NULL,
  boot_id         TEXT    NOT NULL,         -- of the centre
  heartbeat       BLOB,                     -- msgpack, as in the body; NULL until the first one
  notable         BLOB    NOT NULL,         -- digest of what the last journalled heartbeat said
  shown           TEXT    NOT NULL          -- the hearing state that consoles were last told
) STRICT, WITHOUT ROWID;

CREATE TABLE withdrawal (                   -- rosters that were issued; the newest counts
  number    INTEGER PRIMARY KEY,
  body      BLOB    NOT NULL
) STRICT;

CREATE TABLE invite (
  id             BLOB    PRIMARY KEY,       -- 8 bytes
  secret         BLOB,                      -- 16 bytes; NULL once erased
  name           TEXT    NOT NULL,
  role           INTEGER NOT NULL,
  site           TEXT    NOT NULL,
  is_preapproved INTEGER NOT NULL,
  expires_at_ms  INTEGER NOT NULL,
  keys           BLOB,                      -- signing, sealing, transport (96 bytes), once claimed
  passport       BLOB,                      -- once approved
  approved_at_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE enrollment_failure (
  at_ms   INTEGER NOT NULL,
  address TEXT    NOT NULL
) STRICT;
