-- An alert's id is random: an index ordered by it alone dirties a page of its own for each alert, more the longer it is. Ordered by
-- generation first (``alert_by_id``), new ids go into the last few pages.
DROP INDEX alert_id;
CREATE INDEX alert_id ON alert (entry >> 13, id);
