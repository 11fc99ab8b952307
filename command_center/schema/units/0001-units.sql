CREATE TABLE unit (
  name            TEXT    PRIMARY KEY,
  version         INTEGER NOT NULL,         -- rises with each change of status or assignment, not with positions
  agency          TEXT    NOT NULL,
  capabilities    TEXT    NOT NULL,         -- sorted, separated by commas
  status          TEXT    NOT NULL,
  status_at_ms    INTEGER NOT NULL,         -- centre's wall clock
  status_by       TEXT    NOT NULL,         -- user:<name>, unit:<name>
  status_source   TEXT    NOT NULL,
  note            TEXT    NOT NULL DEFAULT '',
  incident        INTEGER,                  -- what it is assigned to
  lat             REAL,                     -- degrees, WGS 84; NULL: never told
  lon             REAL,
  accuracy_m      REAL,
  position_at_ms  INTEGER,
  position_source TEXT    NOT NULL DEFAULT '',
  heard_at_ms     INTEGER NOT NULL,         -- the last word of or about it
  welfare_level   INTEGER NOT NULL DEFAULT 0,  -- reminders since then
  is_retired      INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX unit_incident ON unit (incident) WHERE incident IS NOT NULL;

CREATE TABLE assignment (
  id              INTEGER PRIMARY KEY,      -- the journal entry that made it
  unit            TEXT    NOT NULL,
  incident        INTEGER NOT NULL,
  assigned_by     TEXT    NOT NULL,
  assigned_at_ms  INTEGER NOT NULL,         -- these times are what a dispatch record keeps (NERIS)
  accepted_at_ms  INTEGER,
  en_route_at_ms  INTEGER,
  on_scene_at_ms  INTEGER,
  ended_at_ms     INTEGER,
  ended_as        TEXT    NOT NULL DEFAULT ''   -- clear | released | reassigned | unable | out of service
) STRICT;
CREATE INDEX assignment_incident ON assignment (incident);
CREATE UNIQUE INDEX assignment_open ON assignment (unit) WHERE ended_at_ms IS NULL;

CREATE TABLE incident_note (
  id        INTEGER PRIMARY KEY,            -- its journal entry
  incident  INTEGER NOT NULL,
  by        TEXT    NOT NULL,
  role      TEXT    NOT NULL,
  text      TEXT    NOT NULL,
  at_ms     INTEGER NOT NULL,
  key       TEXT    NOT NULL
) STRICT;
CREATE INDEX incident_note_of ON incident_note (incident, id);
CREATE UNIQUE INDEX incident_note_once ON incident_note (incident, by, key) WHERE key <> '';

CREATE TABLE place (
  name      TEXT    PRIMARY KEY,            -- a site, a node, or node/camera
  lat       REAL    NOT NULL,               -- degrees, WGS 84
  lon       REAL    NOT NULL,
  by        TEXT    NOT NULL,
  at_ms     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
