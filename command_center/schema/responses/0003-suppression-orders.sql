CREATE TABLE suppression_order (            -- what a node was told about a false alarm: not to tell it again, or to tell it again
  instruction_id BLOB    PRIMARY KEY,
  incident       INTEGER NOT NULL,
  node           BLOB    NOT NULL,
  outcome        TEXT    NOT NULL DEFAULT '',   -- the node's answer: done | under_way | refused; empty: none yet
  outcome_detail TEXT    NOT NULL DEFAULT ''    -- in the node's words
) STRICT, WITHOUT ROWID;
