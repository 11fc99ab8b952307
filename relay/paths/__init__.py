"""The ways to the command center: one file per carrier."""
