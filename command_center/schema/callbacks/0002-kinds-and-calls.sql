ALTER TABLE receiver ADD COLUMN kind        TEXT    NOT NULL DEFAULT 'webhook';  -- webhook | tak | smtp | cap
ALTER TABLE receiver ADD COLUMN only_called INTEGER NOT NULL DEFAULT 0;   -- told only when a plan or an assignment calls it
ALTER TABLE receiver ADD COLUMN options     BLOB    NOT NULL DEFAULT x'7b7d';   -- JSON, by kind
ALTER TABLE delivery ADD COLUMN media_type  TEXT    NOT NULL DEFAULT 'application/json';
ALTER TABLE delivery ADD COLUMN about       TEXT    NOT NULL DEFAULT '';  -- unit:<name>, where a later one takes an earlier one's place

CREATE TABLE called (                       -- who was called to an incident, and is told of what follows
  incident    INTEGER NOT NULL,
  receiver    TEXT    NOT NULL,
  PRIMARY KEY (incident, receiver)
) STRICT, WITHOUT ROWID;
