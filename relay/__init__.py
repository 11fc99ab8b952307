"""Keys, envelopes, spool, paths, scheduling: the ground floor. Imports nothing else of ours."""
