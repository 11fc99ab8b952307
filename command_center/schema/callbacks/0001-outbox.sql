CREATE TABLE callback_state (
  only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
  upto        INTEGER NOT NULL,             -- journal entries up to this one are delivered or have nobody to tell
  signing_key BLOB    NOT NULL              -- Ed25519 seed of this centre's webhooks
) STRICT;

CREATE TABLE receiver (
  name         TEXT    PRIMARY KEY,
  url          TEXT    NOT NULL,
  secret       BLOB,                        -- also sign with HMAC ("v1"), where the receiver knows no Ed25519
  only_flash   INTEGER NOT NULL,
  may_be_inside INTEGER NOT NULL,           -- an administrator says that an address of our own network is meant
  disabled_why TEXT    NOT NULL DEFAULT ''  -- empty: in use
) STRICT, WITHOUT ROWID;

CREATE TABLE delivery (
  number      INTEGER PRIMARY KEY,
  id          TEXT    NOT NULL UNIQUE,      -- the webhook-id
  receiver    TEXT    NOT NULL,
  event       TEXT    NOT NULL,
  incident    INTEGER NOT NULL,
  precedence  INTEGER NOT NULL,
  body        BLOB    NOT NULL,             -- the exact bytes that are signed
  created_at_ms INTEGER NOT NULL,
  attempts    INTEGER NOT NULL DEFAULT 0,
  next_at_ms  INTEGER NOT NULL,
  state       TEXT    NOT NULL DEFAULT 'pending',  -- pending | delivered | dead
  last_answer TEXT    NOT NULL DEFAULT '',
  settled_at_ms INTEGER
) STRICT;
CREATE INDEX delivery_pending ON delivery (receiver, precedence, number) WHERE state = 'pending';
CREATE INDEX delivery_incident ON delivery (incident);

CREATE TABLE capability (                   -- the links by which units answer: only their hashes are kept
  token_sha256 BLOB    PRIMARY KEY,
  receiver     TEXT    NOT NULL,
  incident     INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
