CREATE TABLE early_retraction (             -- what a node took back before the alert itself was here
  alert_id        BLOB    NOT NULL,
  node            BLOB    NOT NULL,         -- whose word it is: only the alert's own node can take it back
  entry           INTEGER NOT NULL,         -- the retraction's, in the journal
  retracted_at_ms INTEGER NOT NULL,         -- center's wall clock at its receipt
  retraction      TEXT    NOT NULL,
  PRIMARY KEY (alert_id, node)
) STRICT, WITHOUT ROWID;
