"""The scenario files themselves: complete, understood, and the same timetable for the same seed."""

from pathlib import Path

import msgspec
import pytest

from tests.network import scenario
from tests.network.bench import specs
from tests.network.scenario import LinkWanted, Scenario
from tests.network.station_process import config_of
from tests.relay.house import House

WANTED = {"asymmetric_cut", "captive_portal", "city_lte", "day_outage", "flapping", "geo_satellite", "nat_rebinding",
          "reconnect_storm", "relay_killed", "rural_lte", "two_paths_die", "chain_any_one_dies", "all_killed_in_turn"}  # fmt: skip


def test_every_kind_of_bad_network_has_its_file() -> None:
    assert set(scenario.names()) >= WANTED


@pytest.mark.parametrize("name", scenario.names())
def test_file_makes_sense(name: str) -> None:
    found = scenario.load(name)
    links = {link.name: link for link in found.link}
    for link in found.link:
        link.impairment("up")
        link.impairment("down")
    for _, event in found.timetable(seed=1):
        assert not event.link or event.link in links
        assert not event.set or links[event.link].impairment("up").changed(event.set)
        assert event.is_captive is None or links[event.link].has_portal
        assert {event.kill, event.start} <= {"", *found.places()}
    for name_, until_s in ((event.link, at_s) for at_s, event in found.timetable(seed=1)):
        assert until_s < found.lasts_s, f"{name_}: alerts must still be raised when it happens"


def test_seed_shifts_the_timetable_as_a_whole() -> None:
    found = scenario.load("two_paths_die")
    assert found.timetable(3) == found.timetable(3)
    (first, _), (second, _) = found.timetable(3)
    assert second - first == pytest.approx(2.0)
    assert found.timetable(3)[0][0] != found.timetable(4)[0][0]


def test_unknown_scenario_is_told_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"among .*two_paths_die.*, found 'nowhere'"):
        scenario.load("nowhere")


def test_carrier_of_a_run_is_that_of_every_way_and_changes_nothing_else(tmp_path: Path) -> None:
    own, over_tls = scenario.load("chain_any_one_dies"), scenario.load("chain_any_one_dies", "tls")
    assert {link.carrier for link in own.link} == {"zeromq"}
    assert {link.carrier for link in over_tls.link} == {"tls"}
    assert scenario.over("zeromq", over_tls) == own
    for spec in specs(over_tls, House(tmp_path), {}).values():
        (config,) = map(config_of, spec.stations)
        ways = [(item.kind, item.endpoint) for item in config.listen] + [
            (item.kind, item.endpoint) for item in config.path
        ]
        assert ways
        assert {(kind, endpoint.split(":")[0]) for kind, endpoint in ways} == {("tls", "tls")}
    assert {path.peer for path in config_of(specs(over_tls, House(tmp_path), {})["node"].stations[0]).path} == {"site"}


def test_a_way_has_its_own_carrier_and_whoever_it_leads_to_listens_for_it(tmp_path: Path) -> None:
    wifi, lte = LinkWanted(name="wifi", carrier="tls"), LinkWanted(name="lte")
    found = specs(Scenario(title="", lasts_s=1, alerts_per_s=1, link=(wifi, lte)), House(tmp_path), {})
    center, node = (config_of(found[place].stations[0]) for place in ("center", "node"))
    assert {(item.kind, item.endpoint) for item in center.listen} == {
        ("tls", "tls://0.0.0.0:5702"),
        ("zeromq", "tcp://0.0.0.0:5701"),
    }
    assert [(path.name, path.kind) for path in node.path] == [("wifi", "tls"), ("lte", "zeromq")]


def test_misspelt_key_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="lasts"):
        msgspec.convert({"title": "x", "lasts": 3, "alerts_per_s": 1, "link": []}, Scenario)


@pytest.mark.parametrize("name", scenario.names())
def test_random_kills_hit_anybody_who_lives_and_leave_the_rest_of_the_timetable_alone(name: str) -> None:
    found = scenario.load(name)
    victims: set[str] = set()
    for seed in range(40):
        killed = scenario.with_kills(found, seed, 3)
        assert killed.event[: len(found.event)] == found.event
        assert killed == scenario.with_kills(found, seed, 3)
        victims |= {event.kill for event in killed.event[len(found.event) :] if event.kill}
        dead: set[str] = set()
        for at_s, event in killed.timetable(seed):
            assert at_s < found.lasts_s
            assert event.kill not in dead, f"seed {seed}: {event.kill} is killed while it lies dead"
            assert not event.start or event.start in dead, f"seed {seed}: {event.start} is started while it runs"
            dead = (dead | {event.kill} if event.kill else dead) - {event.start}
    assert victims == set(found.stations()), "in some seed everybody is hit"
