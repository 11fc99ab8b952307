"""The ways to the command centre: one file per carrier."""
