"""A bulk connection's congestion control: none that stands still to measure where nothing is lost, one that bears losses where they are."""

import contextlib
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from relay.congestion import LOOK_AFTER_SEGMENTS, LOSSLESS, LOSSY, THIN_BYTES_S, Congestion
from relay.header import Kind
from relay.passport import Role
from relay.paths.zeromq_connections import steer
from relay.precedence import Precedence
from relay.tcp_info import TcpInfo, tcp_info_of
from tests.relay.carriers import carrier
from tests.relay.house import House, Kept, until


def counted(sent: int, resent: int, least_rtt_ms: float = 80.0) -> TcpInfo:
    return TcpInfo(path_mtu_bytes=1500, sent_segments=sent, resent_segments=resent, least_rtt_ms=least_rtt_ms)


def needs(*names: str) -> None:
    known = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text(encoding="ascii").split()
    if not set(names) <= set(known):
        pytest.skip(f"needs {' and '.join(names)}, this kernel has {', '.join(known)}")


def name_of(connection: socket.socket) -> str:
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


def test_a_connection_begins_with_one_that_never_stands_still_to_measure() -> None:
    assert Congestion().choice(None) == LOSSLESS
    assert Congestion().choice(counted(10, 0)) == LOSSLESS


def test_one_that_loses_gets_the_one_that_bears_it_and_keeps_it_until_next_to_nothing_is_lost() -> None:
    congestion = Congestion()
    assert congestion.choice(counted(LOOK_AFTER_SEGMENTS, LOOK_AFTER_SEGMENTS // 100)) == LOSSY
    assert congestion.choice(counted(5_500, 10)) == LOSSY, "one in a thousand since: not enough to change again"
    assert congestion.choice(counted(15_500, 11)) == LOSSLESS


def test_a_few_segments_decide_nothing() -> None:
    congestion = Congestion()
    assert congestion.choice(counted(LOOK_AFTER_SEGMENTS - 1, 20)) == LOSSLESS
    assert congestion.choice(counted(20_000, 20)) == LOSSLESS, "they count with the rest"


def test_a_link_that_loses_four_in_a_hundred_shows_within_a_hundred_segments() -> None:
    congestion = Congestion()
    seen = ((20, 1), (40, 1), (60, 3), (80, 3), (100, 4))
    assert [congestion.choice(counted(*each)) for each in seen] == [LOSSLESS, LOSSLESS, LOSSLESS, LOSSLESS, LOSSY]
    assert congestion.choice(counted(120, 4)) == LOSSY
    assert congestion.choice(counted(500, 4)) == LOSSY, "of all that were sent by then eight in a thousand"
    assert congestion.choice(counted(1_000, 4)) == LOSSLESS, "none since"


def test_what_a_full_queue_drops_in_one_go_is_no_lossy_link_nor_is_one_in_a_hundred_and_a_few_looks() -> None:
    full, few, far = Congestion(), Congestion(), Congestion()
    for sent, resent in ((60, 0), (90, 20), (110, 25), (120, 30), (150, 32), (300, 32), (499, 32)):
        assert full.choice(counted(sent, resent)) == LOSSLESS, "it took some looks until all were sent again"
    for sent, resent in ((100, 1), (150, 1), (200, 2), (250, 2), (300, 3), (350, 3), (400, 4)):
        assert few.choice(counted(sent, resent)) == LOSSLESS, "no more than one in a hundred"
    for sent, resent in ((100, 1), (150, 1), (300, 2), (1_100, 2), (1_150, 15)):
        assert far.choice(counted(sent, resent)) == LOSSLESS, "what was weighed with 500 segments counts no more"


def test_a_thin_link_gets_the_one_that_sends_segments_one_by_one_where_its_pauses_are_short() -> None:
    congestion = Congestion()
    congestion.paced(33_000)
    assert congestion.choice(counted(10, 0)) == LOSSY
    assert congestion.choice(counted(10, 0, least_rtt_ms=600.0)) == LOSSLESS, "a satellite: a pause is two round trips"
    congestion.paced(0)
    assert congestion.choice(counted(10, 0)) == LOSSY, "the pace is sought: it says nothing"
    congestion.paced(int(1.25 * THIN_BYTES_S))
    assert congestion.choice(counted(10, 0)) == LOSSY, "a probe of a thin one"
    congestion.paced(300_000)
    assert congestion.choice(counted(10, 0)) == LOSSLESS


def test_a_link_that_turns_out_thin_is_looked_at_with_the_next_parcel_and_one_that_falls_behind_for_a_moment_is_not() -> (
    None
):
    thin, wide = Congestion(), Congestion()
    for congestion, bytes_s in ((thin, 33_000), (wide, 400_000)):
        for _ in range(200):  # of the first ones each is
            congestion.is_due()
        assert not congestion.is_due()
        congestion.paced(bytes_s)
    assert thin.is_due()
    assert not wide.is_due()
    wide.paced(33_000)
    assert not wide.is_due()


def test_the_kernel_tells_the_shortest_round_trip_of_a_connection_that_has_sent() -> None:
    with (
        contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening,
        contextlib.closing(socket.create_connection(listening.getsockname())) as connection,
    ):
        told = tcp_info_of(connection)
        assert told is not None
        assert 0 < told.least_rtt_ms < 1_000


def test_it_is_looked_at_with_each_of_the_first_parcels_and_then_now_and_again() -> None:
    congestion = Congestion()
    due = [n for n in range(400) if congestion.is_due()]
    assert due == [*range(127), 128, 256, 384]
    congestion.look_again()
    assert congestion.is_due(), "there was no connection yet"


def test_what_is_chosen_is_set_on_a_connection_that_loses_and_on_no_other() -> None:
    needs("bbr", "cubic")
    with (
        contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening,
        contextlib.closing(socket.create_connection(listening.getsockname())) as connection,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")
        steer(connection.fileno(), ("192.0.2.1", 1), Congestion())
        assert name_of(connection) == "bbr", "the descriptor is somebody else's by now"
        steer(connection.fileno(), connection.getpeername(), Congestion())
        assert name_of(connection) == "cubic"
        congestion = Congestion()
        congestion.choice(counted(LOOK_AFTER_SEGMENTS, 50))
        steer(connection.fileno(), connection.getpeername(), congestion)
        assert name_of(connection) == "bbr"


def _names(port: int) -> dict[bool, set[str]]:
    """By calling and called end, what this process' connections with a port run under."""
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as connection:
            name = name_of(connection)  # what is no TCP connection has none
            far = connection.getpeername()[1]
            if port in {far, connection.getsockname()[1]}:
                found[far == port].add(name)
    return found


@pytest.mark.parametrize("name", ["zeromq", "tls", "http", "https-through-proxy", "mqtt"])
async def test_a_clip_s_connection_is_steered_where_a_system_s_choice_is_another(name: str, tmp_path: Path) -> None:
    needs("bbr", "cubic")
    with contextlib.closing(socket.socket()) as fresh:
        if name_of(fresh) == "cubic":
            pytest.skip("needs a system that gives connections something else than cubic")
    house = House.of(tmp_path / "house", {"center": Role.CENTER, "gate": Role.CAMERA})
    inbox = Kept()
    async with (
        carrier(name, tmp_path) as way,
        house.station("center", listen=way.listener, inbox=inbox) as center,
        house.station("gate", to=way.dialed("center", way.endpoint_of(center))) as gate,
    ):
        port = urlsplit(way.https.proxy or center.listening_on[0]).port or 0
        await gate.put(gate.draft_up(Kind.CHUNK, Precedence.BULK, bytes(4_000)))
        await until(lambda: len(inbox.arrivals) == 1, "the chunk", 30)
        assert _names(port)[True] == {"cubic"}
