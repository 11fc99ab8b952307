ALTER TABLE incident ADD COLUMN level        INTEGER NOT NULL DEFAULT 0;   -- how far re-notification has got
ALTER TABLE incident ADD COLUMN quiet        TEXT    NOT NULL DEFAULT '';  -- '' | shelved | flood
ALTER TABLE incident ADD COLUMN announced_at_ms INTEGER NOT NULL DEFAULT 0;  -- last annunciation, centre's wall clock; 0: none
ALTER TABLE incident ADD COLUMN merged_into  INTEGER;
ALTER TABLE incident ADD COLUMN retracted_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alert ADD COLUMN retracted_at_ms INTEGER;
ALTER TABLE alert ADD COLUMN retraction      TEXT    NOT NULL DEFAULT '';
UPDATE incident SET announced_at_ms = first_alert_at_ms WHERE is_quarantined = 0;
CREATE INDEX incident_merged ON incident (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX incident_announced ON incident (announced_at_ms) WHERE announced_at_ms > 0 AND precedence > 0;

CREATE TABLE shelf (                        -- sources whose alarms people do not want to hear for a while
  id           INTEGER PRIMARY KEY,         -- the journal entry that shelved it
  node         BLOB    NOT NULL,
  camera       TEXT    NOT NULL,
  label        TEXT    NOT NULL,            -- '': everything that this camera sees
  reason       TEXT    NOT NULL,
  by           TEXT    NOT NULL,
  at_ms        INTEGER NOT NULL,
  until_ms     INTEGER NOT NULL,
  covers_flash INTEGER NOT NULL,            -- asked for
  agreed_by    TEXT,                        -- the second person
  ended_at_ms  INTEGER
) STRICT;
CREATE INDEX shelf_open ON shelf (node, camera) WHERE ended_at_ms IS NULL;
