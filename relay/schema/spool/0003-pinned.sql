CREATE TABLE pinned (                       -- what must not give way to anything: evidence on legal hold
  id                BLOB    PRIMARY KEY CHECK (length(id) = 32)
) STRICT, WITHOUT ROWID;
