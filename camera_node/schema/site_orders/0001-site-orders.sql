CREATE TABLE action_order (          -- to be started once, in the boot in which it came
  instruction_id BLOB PRIMARY KEY CHECK (length(instruction_id) = 32),
  boot_id        TEXT NOT NULL,
  due_until_ms   INTEGER NOT NULL,   -- monotonic
  action         TEXT NOT NULL,
  for_s          INTEGER NOT NULL,   -- 0: as configured
  ordered_by     TEXT NOT NULL,
  reason         TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE site_word (             -- answers that are to be spooled
  id             INTEGER PRIMARY KEY,
  instruction_id BLOB NOT NULL UNIQUE,
  outcome        INTEGER NOT NULL,
  detail         TEXT NOT NULL
) STRICT;
