"""Who leads: asked before a center starts, and answered while one runs. Of two that lead, the one that was promoted later is right.

Two machines that cannot reach each other can't ask: whoever promotes the standby sees to it that the other one is off.
"""

import contextlib
import sqlite3

import structlog

from command_center.errors import BadRequest
from command_center.standby import messages
from command_center.standby.line import Called, Doorkeeper, Line, LineLost
from command_center.standby.messages import Failed, Hello, Standing
from command_center.standby.promoting import term_of
from command_center.state_dir import StateDir
from command_center.web_server import require_address
from relay.errors import HeardError
from relay.identity import Identity

_log = structlog.get_logger("command_center.standby")
_ASKED_FOR_S = 2.0


class Outranked(BadRequest):
    """The other machine was promoted: this one must not lead."""

    def __init__(self, address: str, term: int) -> None:
        super().__init__(
            f"the center at {address} was promoted and leads (term {term}): this one must not. Have it follow: command-center follow --overwrite"
        )


def term_in(state: StateDir) -> int:
    """How often a standby of the center in this folder was promoted; read while nothing runs."""
    how = "immutable=1" if state.redo_file.exists() else "mode=ro"  # nothing is to lie beside a standby's database
    connection = sqlite3.connect(f"{state.database_file.absolute().as_uri()}?{how}", uri=True)
    with contextlib.closing(connection):
        return term_of(connection)


def require_lead(state: StateDir, address: str, *, alone: bool = False) -> None:
    """Ask the other machine, if there is one and it answers. ``alone``: it must not lead at all, not even by an older claim.

    Raises:
        Outranked: it leads, and was promoted later.
        BadRequest: it leads.
        ConfigError: ``address`` is none.
    """
    if not address:
        return
    host, port = require_address(address)
    try:
        line = Line.dial(host, port, Identity.load(state.identity_key_file), wait_s=_ASKED_FOR_S)
    except LineLost as error:
        _log.warning("the other machine can't be asked whether it leads", why=str(error))
        return
    try:
        term = term_in(state)
        standing = line.answered(line.ask(Hello, format=messages.FORMAT, term=term), _ASKED_FOR_S)
    except LineLost as error:
        _log.warning("the other machine does not say whether it leads", why=str(error))
        return
    finally:
        line.close()
    if not isinstance(standing, Standing) or not standing.leads:
        return
    if standing.term > term:
        raise Outranked(address, standing.term)
    if alone:
        raise BadRequest(
            f"the center at {address} answers that it leads: stop it first, or see why people can't reach it. Two that lead are worse than none; "
            "--although-it-leads promotes all the same"
        )


def say_who_leads(address: str, identity: Identity, term: int) -> Doorkeeper:
    """Answer the other machine while this one leads.

    Raises:
        ConfigError, EndpointInUse: ``address`` is none, or taken.
    """

    def answer(line: Called) -> None:
        try:
            asked = line.next()
            if isinstance(asked, Hello):
                line.say(Standing(number=asked.number, leads=True, term=term, run=b"", sequence=0))
            else:
                line.say(Failed(number=asked.number, why="this machine leads"))
            line.next()  # who has asked hangs up
        except (OSError, HeardError):
            pass
        finally:
            line.close()

    return Doorkeeper(*require_address(address), identity, answer)
