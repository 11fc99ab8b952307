"""Gets an export's steps into the journal: through the running center's door, or into the database while nothing runs."""

import asyncio
from typing import cast

import msgspec

from command_center import admin_door
from command_center.commands import Command, Outcome
from command_center.evidence import steps
from command_center.evidence.steps import EvidenceExport, Noted
from command_center.state_dir import StateDir
from relay.clock import Clock
from relay.errors import OperatorError


def write(state: StateDir, clock: Clock, command: EvidenceExport) -> Noted:
    """Journal a step; durable when this returns.

    Raises:
        OperatorError: it could not be journalled, and so must not be exported.
    """
    # The door decodes by the struct's tag; a center that does not know it answers with a refusal.
    try:
        answered: Outcome | None = asyncio.run(admin_door.ask(state.admin_socket_file, cast("Command", command)))
    except OperatorError as error:
        raise OperatorError(
            f"the running center did not journal this export, so nothing was exported: {error}; stop it and export again"
        ) from error
    if answered is not None:
        return msgspec.json.decode(answered.data, type=Noted)
    database = state.open_database()
    try:
        return database.run_blocking(lambda connection: steps.note(connection, command, clock.wall_ms()))
    finally:
        database.close()
