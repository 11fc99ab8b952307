"""Every scenario: nothing lost, nothing shown twice, everything heard, and the faults really happened.

By hand, with any seed: ``python -m tests.network.runner NAME --seed N``.
"""

import random

import pytest

from tests.network import namespaces, scenario
from tests.network.outcome import Outcome
from tests.network.runner import run_all

QUICK = ("asymmetric_cut", "relay_cut_off", "relay_killed", "two_paths_die")
OVER_TLS, KILLS = ("asymmetric_cut", "captive_portal", "geo_satellite", "nat_rebinding"), 2
SEEDS, FLEET_SEEDS = 3, 1


@pytest.fixture(scope="module", autouse=True)
def _namespaces() -> None:
    if not namespaces.can_make():
        pytest.skip("needs root, `ip` and /dev/net/tun")


@pytest.fixture(scope="module")
def quick() -> dict[str, Outcome]:
    """All at the same time: together they take as long as the longest."""
    return {outcome.scenario: outcome for outcome in run_all([(name, 1) for name in QUICK])}


def check(outcome: Outcome) -> None:
    """Promises, not times: a shared machine's times belong into `make bench BENCH=network` and the runner's lines."""
    assert outcome.raised > 0
    assert (outcome.lost, outcome.shown_twice, outcome.unheard) == (0, 0, 0), outcome.line()


@pytest.mark.parametrize("name", QUICK)
def test_quick_scenario_keeps_every_promise(name: str, quick: dict[str, Outcome]) -> None:
    check(quick[name])
    assert not quick[name].faults_missing, quick[name].line()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_scenarios_keep_every_promise_over_tls_with_stations_killed() -> None:
    seed = random.SystemRandom().randrange(100_000)
    print(f"seed {seed}")
    for outcome in run_all([(name, seed) for name in OVER_TLS], carrier="tls", kills=KILLS):
        check(outcome)
        assert not outcome.faults_missing, outcome.line()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", scenario.names())
def test_scenario_keeps_every_promise_with_any_seed(name: str) -> None:
    first = random.SystemRandom().randrange(100_000)
    seeds = range(first, first + (SEEDS if scenario.load(name).nodes == 1 else FLEET_SEEDS))
    print(f"seeds {list(seeds)}")
    outcomes = run_all([(name, seed) for seed in seeds])
    for outcome in outcomes:
        check(outcome)
        assert not outcome.faults_missing, outcome.line()  # a fault waits until somebody meets it
