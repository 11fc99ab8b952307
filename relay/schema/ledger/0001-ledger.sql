CREATE TABLE inbound (                      -- every envelope that was ever stored here for us
  origin    BLOB    NOT NULL,
  series    INTEGER NOT NULL,
  sequence  INTEGER NOT NULL,
  id        BLOB    NOT NULL,
  PRIMARY KEY (origin, series, sequence, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE inbound_stream (               -- the same as ranges, for receipts and gaps
  origin    BLOB    NOT NULL,
  series    INTEGER NOT NULL,
  stored    BLOB    NOT NULL,               -- msgpack [[first, last], …]
  forgone   BLOB    NOT NULL,               -- what the origin says will never come
  opened_at INTEGER NOT NULL,               -- order in which series appeared; the highest is the current one
  PRIMARY KEY (origin, series)
) STRICT, WITHOUT ROWID;
