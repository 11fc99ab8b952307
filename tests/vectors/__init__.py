"""Golden bytes of every message kind."""
