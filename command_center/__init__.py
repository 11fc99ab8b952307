"""Hear, act, prove: ingest, journal, incidents, console."""
