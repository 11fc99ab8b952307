CREATE TABLE way_of_alert (                 -- how alerts went through this machine, for people; the newest only
  number  INTEGER PRIMARY KEY AUTOINCREMENT,
  alert   BLOB    NOT NULL UNIQUE CHECK (length(alert) = 32),
  told    BLOB    NOT NULL                  -- tracing.AlertWay, JSON
) STRICT;
