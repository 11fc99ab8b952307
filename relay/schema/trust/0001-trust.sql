CREATE TABLE passport (
  node_id BLOB    PRIMARY KEY CHECK (length(node_id) = 8),
  serial  INTEGER NOT NULL,
  wire    BLOB    NOT NULL
) STRICT;
CREATE TABLE roster (                       -- at most one row: the newest
  number  INTEGER NOT NULL,
  body    BLOB    NOT NULL
) STRICT;
