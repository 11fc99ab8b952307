CREATE INDEX entry_kind ON entry (kind);  -- and by id, which is its row's number: who looked at what is a few entries among millions
