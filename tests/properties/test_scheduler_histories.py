"""The scheduler's promises over whole histories: links die silently, come and go, lose, cost; the node is killed; time passes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.attempts import LinkId, LinkView
from relay.precedence import Precedence
from tests.properties.world import CHUNK_BYTES, POLICY, Way, World

A_DAY_MS = 24 * 3_600_000

ways = st.lists(
    st.builds(Way, id=st.just(LinkId(0)), rtt_ms=st.integers(2, 900), is_metered=st.booleans(),
              loss=st.sampled_from([0.0, 0.0, 0.1, 0.4]), budget_bytes=st.integers(0, 60_000)),
    min_size=1, max_size=3,
).map(lambda found: [_numbered(way, number) for number, way in enumerate(found, 1)])  # fmt: skip
link_ids = st.integers(1, 3).map(LinkId)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(Precedence), st.integers(1, 12)),
        st.tuples(st.just("wait"), st.just(None), st.sampled_from([10, 100, 1_000, 10_000, 60_000])),
        st.tuples(st.sampled_from(["swallow", "cut", "mend"]), st.just(None), st.integers(1, 3)),
        st.tuples(st.just("restart"), st.just(None), st.just(0)),
    ),
    min_size=1, max_size=25,
)  # fmt: skip
Step = tuple[str, Precedence | None, int]


def _numbered(way: Way, number: int) -> Way:
    way.id = LinkId(number)
    return way


def lived(ways: list[Way], wanted: list[Step], seed: int) -> World:
    world = World(ways, seed)
    for what, precedence, amount in wanted:
        link_id = LinkId(1 + (amount - 1) % len(ways))
        match what:
            case "put":
                assert precedence is not None
                world.put(precedence, amount)
                world.run(0)
            case "wait":
                world.run(amount)
            case "swallow":
                world.swallow(link_id)
            case "cut":
                world.cut(link_id)
            case "mend":
                world.mend(link_id)
            case "restart":
                world.restart()
    return world


@settings(max_examples=60)
@given(ways, steps, st.integers(0, 1 << 30))
def test_nothing_is_lost_and_nothing_is_passed_over_whatever_happens(
    found: list[Way], wanted: list[Step], seed: int
) -> None:
    """Inversions, budgets and stops are checked at every plan by the world; at the end one free link works, and all is heard."""
    found[0].is_metered = False
    world = lived(found, wanted, seed)
    world.mend(LinkId(1))
    world.run(A_DAY_MS // 24)
    assert not world.spool, f"{[(entry.number, entry.precedence.name) for entry in world.spool.values()]} wait for ever"
    assert len(world.heard_ms) == len(world.put_ms)


@settings(max_examples=30)
@given(ways, steps, st.integers(0, 1 << 30))
def test_on_metered_links_alone_alerts_arrive_and_the_rest_stays_within_the_budget(
    found: list[Way], wanted: list[Step], seed: int
) -> None:
    for way in found:
        way.is_metered = True
    world = lived(found, wanted, seed)
    for way in found:
        world.mend(way.id)
    world.run(A_DAY_MS // 24)
    assert not [entry for entry in world.spool.values() if entry.precedence.is_alert]
    for way in found:
        assert way.spent_bytes <= way.budget_bytes
    left = [entry for entry in world.spool.values() if entry.precedence != Precedence.BULK]
    most_left = max(way.budget_bytes - way.spent_bytes for way in found)
    assert not left or most_left < CHUNK_BYTES + 200, "there was money for it"


@settings(max_examples=15)
@given(rtt_ms=st.integers(5, 400), every_ms=st.integers(50, 500), is_flash=st.booleans(), seed=st.integers(0, 1 << 30))
def test_alerts_without_end_starve_nothing_below_them(rtt_ms: int, every_ms: int, is_flash: bool, seed: int) -> None:
    world = World([Way(id=LinkId(1), rtt_ms=rtt_ms, is_metered=False)], seed)
    for precedence, count in ((Precedence.BULK, 20), (Precedence.ROUTINE, 5), (Precedence.PRIORITY, 5)):
        world.put(precedence, count)
    for _ in range(60_000 // every_ms):
        world.put(Precedence.FLASH if is_flash else Precedence.IMMEDIATE)
        world.run(every_ms)
    waiting = [entry for entry in world.spool.values() if not entry.precedence.is_alert]
    assert not waiting, f"{len(waiting)} of 30 starve"
    slow = [number for number, at_ms in world.heard_ms.items()
            if world.precedence[number].is_alert and at_ms - world.put_ms[number] > rtt_ms + 1]  # fmt: skip
    assert not slow, "and no alert waited for them"


@settings(max_examples=30)
@given(ways, st.integers(1, 20), st.integers(0, 1 << 30))
def test_an_answer_that_comes_in_time_cancels_every_hedge(found: list[Way], count: int, seed: int) -> None:
    """Without a loss an IMMEDIATE alert costs one send, and a FLASH none on a metered link that would have had to wait."""
    for way in found:
        way.loss = 0.0
    world = World(found, seed)
    for _ in range(count):
        world.put(Precedence.IMMEDIATE)
        world.put(Precedence.FLASH)
        world.run(5_000)
    best = min(found, key=lambda way: (way.is_metered, way.rtt_ms, way.id))
    free_ms = min((_p95(way) for way in found if not way.is_metered), default=None)
    for way in found:
        sent = [world.precedence[number] for _, number in way.sends]
        assert sent.count(Precedence.IMMEDIATE) == (count if way is best else 0)
        is_hedged = way.is_metered and free_ms is not None
        assert sent.count(Precedence.FLASH) == (0 if is_hedged else count)


def _p95(way: Way) -> float:
    view: LinkView = way.view(0)
    return view.p95_ms


@settings(max_examples=30)
@given(ways, st.integers(0, 1 << 30), st.integers(1, 20))
def test_a_flash_alert_is_there_with_the_first_link_that_lives(found: list[Way], seed: int, count: int) -> None:
    """Fail-over adds nothing: whichever links are black holes, it needs the best living link's round trip."""
    for way in found:
        way.loss, way.is_metered = 0.0, False
    world = World(found, seed)
    living = found[seed % len(found)]
    for way in found:
        if way is not living:
            world.swallow(way.id)
    for _ in range(count):
        world.put(Precedence.FLASH)
        world.run(2 * living.rtt_ms)
    for number, at_ms in world.heard_ms.items():
        assert at_ms - world.put_ms[number] <= living.rtt_ms + 1
    assert len(world.heard_ms) == count or POLICY.urgent_window < count
