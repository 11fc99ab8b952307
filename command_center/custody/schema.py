"""The tables of the schema part "custody". Those in ``TABLES`` follow from the journal; the rest is work in progress."""

from importlib.resources import files
from typing import Final

from relay.schema_steps import steps_in

SCHEMA: Final = steps_in(files("command_center").joinpath("schema", "custody"))
TABLES: Final = {"legal_hold": "incident", "erased_object": "sha256", "redaction": "sha256"}
"""What a rebuild compares, and by which order."""
