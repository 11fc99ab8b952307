CREATE TABLE account (
  name          TEXT    PRIMARY KEY,
  role          TEXT    NOT NULL,
  password_hash TEXT    NOT NULL,           -- Argon2id, encoded
  is_disabled   INTEGER NOT NULL DEFAULT 0,
  created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
  token_sha256  BLOB    PRIMARY KEY,
  account       TEXT    NOT NULL,
  address       TEXT    NOT NULL,
  opened_at_ms  INTEGER NOT NULL,
  used_at_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sign_in_failure (
  at_ms         INTEGER NOT NULL,
  account       TEXT    NOT NULL,
  address       TEXT    NOT NULL
) STRICT;
CREATE INDEX sign_in_failure_at ON sign_in_failure (at_ms);
