-- Twice as many segments before they are merged: a third less work for an entry, and a search opens a few more.
INSERT INTO word (word, rank) VALUES ('automerge', 8);
