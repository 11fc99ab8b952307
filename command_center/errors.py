"""What can go wrong in the command center beyond ``relay.errors``, grouped by who must act.

HeardError (relay.errors)
├── OperatorError
│   ├── NotInitialized     there is no command center in this folder yet
│   ├── AlreadyInitialized keys are never overwritten
│   ├── JournalDamaged     the journal does not say what it said when it was written
│   ├── BadRequest         an administrator asked for something that can't be done
│   └── DemonstrationFailed a step of the demonstration did not work
└── ActionRefused          a person's action is not possible now; the API says why
    ├── NotFound           no such incident, node, snapshot
    ├── LostRace           somebody else acted first: look again, then decide
    ├── WatchingRefused    live video can't be shown now: too many watch, the node says no, or says nothing
    └── AccessDenied       not signed in, wrong password, wrong role, too many attempts
"""

from relay.errors import HeardError, OperatorError


class NotInitialized(OperatorError):
    """There is no command center in this folder yet."""


class AlreadyInitialized(OperatorError):
    """Keys are never overwritten."""


class JournalDamaged(OperatorError):
    """The journal does not say what it said when it was written."""


class BadRequest(OperatorError):
    """An administrator asked for something that can't be done."""


class DemonstrationFailed(OperatorError):
    """A step of the demonstration did not work; names the step and the log to look at."""


class ActionRefused(HeardError):
    """A person's action is not possible now; the API says why."""


class NotFound(ActionRefused):
    """No such incident, node or snapshot."""


class LostRace(ActionRefused):
    """Somebody else acted first: look again, then decide."""


class NotPossible(ActionRefused):
    """What was asked for makes no sense for this incident or source; nothing was changed."""


class AccessDenied(ActionRefused):
    """Not signed in, wrong password, wrong role, or too many attempts."""

    def __init__(self, message: str, *, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


class WatchingRefused(ActionRefused):
    """Live video can't be shown now; ``status`` is HTTP's, and 0 s to retry after means that waiting does not help."""

    def __init__(self, message: str, *, status: int, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
