ALTER TABLE plan_step ADD COLUMN for_s          INTEGER NOT NULL DEFAULT 0;    -- of an act; 0: as the node's configuration says
ALTER TABLE plan_step ADD COLUMN instruction_id BLOB    NOT NULL DEFAULT x'';  -- what the node was sent; empty: nothing
ALTER TABLE plan_step ADD COLUMN outcome        TEXT    NOT NULL DEFAULT '';   -- the node's answer: done | under_way | refused
ALTER TABLE plan_step ADD COLUMN outcome_detail TEXT    NOT NULL DEFAULT '';   -- in the node's words
CREATE INDEX plan_step_instruction ON plan_step (instruction_id) WHERE instruction_id <> x'';
