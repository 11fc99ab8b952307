"""The tables of the schema part "units": views that follow from the journal, entry by entry (``appliers``)."""

from importlib.resources import files
from typing import Final

from relay.schema_steps import steps_in

SCHEMA: Final = steps_in(files("command_center").joinpath("schema", "units"))
TABLES: Final = {"unit": "name", "assignment": "id", "incident_note": "id", "place": "name"}
"""What a rebuild compares, and by which order."""
