-- A file of its own beside the journal, which it follows: it may be deleted at any time, and is made anew.
CREATE TABLE progress (
  one      INTEGER PRIMARY KEY CHECK (one = 1),
  entry    INTEGER NOT NULL,                -- entries 1 to this one are in here
  leaf     BLOB    NOT NULL,                -- that entry's, in the journal: a journal restored from a backup has another there
  writing  BLOB    NOT NULL                 -- SHA-256 of the program text that put the entries into words
) STRICT;
INSERT INTO progress VALUES (1, 0, x'', x'');

CREATE VIRTUAL TABLE word USING fts5 (      -- rowid: the entry's id
  said,                                     -- kind, actor, subject, detail; case folded
  content = '', columnsize = 0, detail = 'none', tokenize = 'trigram'
);

CREATE TABLE stretch (                      -- of 4096 entries each: where a time can be, and where it can't
  number      INTEGER PRIMARY KEY,          -- entry >> 12
  least_at_ms INTEGER NOT NULL,
  most_at_ms  INTEGER NOT NULL
) STRICT;
