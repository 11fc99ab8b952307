"""The pings of a flood are answered one by one, as what came before each is stored."""

from relay import hop
from relay.budget import Purse
from relay.clock import SimulatedClock
from relay.flood_window import FIRST_TOKEN
from relay.held_pongs import HeldPongs
from relay.links import Links
from relay.path import Lane
from tests.relay.test_sender import Wire


class NotingWire(Wire):
    """Writes down the notes, too."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.notes: list[hop.Note] = []

    def send(self, parcel: bytes, lane: Lane) -> bool:
        self.notes.append(hop.decode(parcel))
        return super().send(parcel, lane)


def pongs(wire: NotingWire) -> list[int]:
    return [note.sent_ms - FIRST_TOKEN for note in wire.notes if isinstance(note, hop.Pong)]


def test_each_ping_has_its_answer_when_what_came_before_it_is_taken_and_none_waits_for_the_last() -> None:
    links, lte, lan = Links(purse=Purse({}), clock=SimulatedClock()), NotingWire("lte"), NotingWire("lan")
    flooded, calm = links.opened(lte, 0), links.opened(lan, 0)
    held = HeldPongs()
    for token, after in ((0, 3), (1, 5), (2, 9)):
        held.hold(flooded, FIRST_TOKEN + token, after)
    answered: list[list[int]] = []
    for _ in range(6):
        held.taken(calm.id, is_little_left=True)
        held.taken(flooded.id, is_little_left=False)
        answered.append(pongs(lte))
    assert answered == [[], [], [0], [0], [0, 1], [0, 1]]
    held.hold(flooded, FIRST_TOKEN + 3, 4)
    held.taken(flooded.id, is_little_left=False)
    assert pongs(lte) == [0, 1], "counted from when it came"
    assert held
    held.taken(flooded.id, is_little_left=True)
    assert pongs(lte) == [0, 1, 2, 3], "with little left nothing is held"
    assert not held, "and nothing is remembered"
    assert pongs(lan) == []
