"""The tables of the schema part "views": what follows from the journal, plus the events that consoles resume from.

``incident``, ``alert``, ``early_retraction``, ``exhibit_item`` and ``node`` can be rebuilt from the journal entry by entry (``replay``), and
``command-center check`` does so and compares. ``piece``, ``incoming``, ``hop``, ``sent_acknowledgement``, ``owed`` and
``event`` are work in progress or measurements.
"""

from importlib.resources import files
from typing import Final

from relay.schema_steps import steps_in

SCHEMA: Final = steps_in(files("command_center").joinpath("schema", "views"))
