"""The tables of the schema part "responses": views that follow from the journal; only ``plan_cursor`` is work in progress."""

from importlib.resources import files
from typing import Final

from relay.schema_steps import steps_in

SCHEMA: Final = steps_in(files("command_center").joinpath("schema", "responses"))
TABLES: Final = {
    "plan_match": "incident, plan", "plan_step": "incident, number", "handover": "id", "share": "id",
    "suppression_order": "instruction_id",
}  # fmt: skip
"""What a rebuild compares, and by which order."""
