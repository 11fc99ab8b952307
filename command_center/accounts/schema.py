"""The tables of the schema part "accounts": who may sign in, who is signed in, and what failed."""

from importlib.resources import files
from typing import Final

from relay.schema_steps import steps_in

SCHEMA: Final = steps_in(files("command_center").joinpath("schema", "accounts"))
