CREATE TABLE usage_by_origin (              -- sums over `envelope` for each node, kept by the triggers below
  origin            BLOB    NOT NULL,
  precedence        INTEGER NOT NULL,
  envelopes         INTEGER NOT NULL,
  bytes             INTEGER NOT NULL,
  PRIMARY KEY (origin, precedence)
) STRICT, WITHOUT ROWID;
INSERT INTO usage_by_origin SELECT origin, precedence, COUNT(*), SUM(size_bytes) FROM envelope GROUP BY origin, precedence;
CREATE TRIGGER envelope_in_by_origin AFTER INSERT ON envelope BEGIN
  INSERT INTO usage_by_origin VALUES (new.origin, new.precedence, 1, new.size_bytes)
    ON CONFLICT (origin, precedence) DO UPDATE SET envelopes = envelopes + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER envelope_out_by_origin AFTER DELETE ON envelope BEGIN
  UPDATE usage_by_origin SET envelopes = envelopes - 1, bytes = bytes - old.size_bytes
    WHERE origin = old.origin AND precedence = old.precedence;
  DELETE FROM usage_by_origin WHERE origin = old.origin AND precedence = old.precedence AND envelopes = 0;
END;
