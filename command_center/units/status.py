"""The steps of a unit's work, and which may follow which. Pure.

A unit is *free* when it is available; *clear* has left the scene and is not back yet (it may be sent on, and is recommended
after those who are available); assigned to on scene is *busy*: it belongs to exactly one incident. Steps may be left out
forwards, because radios are busy and people forget; they are never taken backwards: who reported a step too early stays there.
"""

import enum
from typing import Final

from command_center.errors import NotPossible
from relay.kinds.acknowledgement import AnswerState


class UnitStatus(enum.Enum):
    """Where a unit is in its work."""

    AVAILABLE = "available"
    ASSIGNED = "assigned"
    ACCEPTED = "accepted"
    EN_ROUTE = "en_route"
    ON_SCENE = "on_scene"
    CLEAR = "clear"
    OUT_OF_SERVICE = "out_of_service"

    @property
    def is_busy(self) -> bool:
        """Whether it belongs to an incident."""
        return self in _BUSY

    @property
    def for_camera(self) -> AnswerState | None:
        """What the node of the incident's camera is told; None: nothing that changes how far the people have got."""
        return _FOR_CAMERA.get(self)

    @property
    def words(self) -> str:
        """For people."""
        return self.value.replace("_", " ")


_BUSY: Final = frozenset({UnitStatus.ASSIGNED, UnitStatus.ACCEPTED, UnitStatus.EN_ROUTE, UnitStatus.ON_SCENE})
_FOR_CAMERA: Final = {
    UnitStatus.ASSIGNED: AnswerState.DISPATCHED, UnitStatus.ACCEPTED: AnswerState.DISPATCHED,
    UnitStatus.EN_ROUTE: AnswerState.EN_ROUTE, UnitStatus.ON_SCENE: AnswerState.ON_SCENE,
}  # fmt: skip
_ENDS: Final = frozenset({UnitStatus.CLEAR, UnitStatus.AVAILABLE, UnitStatus.OUT_OF_SERVICE})
FOLLOWS: Final[dict[UnitStatus, frozenset[UnitStatus]]] = {
    UnitStatus.AVAILABLE: frozenset({UnitStatus.ASSIGNED, UnitStatus.OUT_OF_SERVICE}),
    UnitStatus.ASSIGNED: frozenset({UnitStatus.ASSIGNED, UnitStatus.ACCEPTED, UnitStatus.EN_ROUTE, UnitStatus.ON_SCENE})
    | _ENDS,
    UnitStatus.ACCEPTED: frozenset({UnitStatus.ASSIGNED, UnitStatus.EN_ROUTE, UnitStatus.ON_SCENE}) | _ENDS,
    UnitStatus.EN_ROUTE: frozenset({UnitStatus.ASSIGNED, UnitStatus.ON_SCENE}) | _ENDS,
    UnitStatus.ON_SCENE: frozenset({UnitStatus.ASSIGNED}) | _ENDS,
    UnitStatus.CLEAR: frozenset({UnitStatus.ASSIGNED, UnitStatus.AVAILABLE, UnitStatus.OUT_OF_SERVICE}),
    UnitStatus.OUT_OF_SERVICE: frozenset({UnitStatus.AVAILABLE}),
}
"""From *assigned* to *assigned* is another incident. Out of service comes back as available only: somebody must say so first."""


def require_step(unit: str, at: UnitStatus, wanted: UnitStatus) -> None:
    """Refuse a step that does not follow.

    Raises:
        NotPossible: it does not; names those that do.
    """
    if wanted not in FOLLOWS[at]:
        known = ", ".join(sorted(step.words for step in FOLLOWS[at]))
        raise NotPossible(f"{unit} is {at.words} and can't become {wanted.words}: from here it may become {known}")
