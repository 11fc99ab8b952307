ALTER TABLE account ADD COLUMN subject     TEXT    NOT NULL DEFAULT '';  -- of the identity provider: issuer, space, sub; '': local
ALTER TABLE account ADD COLUMN unit        TEXT    NOT NULL DEFAULT '';  -- the field unit that it speaks for
ALTER TABLE account ADD COLUMN must_change INTEGER NOT NULL DEFAULT 0;   -- its password was chosen by somebody else
CREATE UNIQUE INDEX account_subject ON account (subject) WHERE subject <> '';

ALTER TABLE session ADD COLUMN stage       TEXT    NOT NULL DEFAULT 'full';  -- full | second_factor | enrollment | password
ALTER TABLE session ADD COLUMN agent       TEXT    NOT NULL DEFAULT '';      -- what the browser calls itself, for its owner
ALTER TABLE session ADD COLUMN tries       INTEGER NOT NULL DEFAULT 0;       -- wrong second factors in it
CREATE INDEX session_account ON session (account);

CREATE TABLE second_factor (
  account         TEXT    PRIMARY KEY,
  sealed_secret   BLOB    NOT NULL,         -- encrypted with a key that follows from identity.key
  confirmed_at_ms INTEGER,                  -- NULL: offered, never used yet
  last_step       INTEGER NOT NULL DEFAULT 0  -- of the last code taken (RFC 6238): none is taken twice
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_code (
  code_sha256     BLOB    PRIMARY KEY,      -- 100 random bits: a plain hash is enough
  account         TEXT    NOT NULL,
  used_at_ms      INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX recovery_code_account ON recovery_code (account);

CREATE TABLE api_token (
  token_sha256    BLOB    PRIMARY KEY,
  id              TEXT    NOT NULL UNIQUE,
  account         TEXT    NOT NULL,         -- whose permissions bound it
  name            TEXT    NOT NULL,
  scopes          TEXT    NOT NULL,         -- permissions, separated by spaces
  created_at_ms   INTEGER NOT NULL,
  expires_at_ms   INTEGER NOT NULL,
  used_at_ms      INTEGER,                  -- to the minute
  used_from       TEXT    NOT NULL DEFAULT '',
  revoked_at_ms   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_token_account ON api_token (account);
