"""A bag says that an alert was taken back, in the node's own signed words, and what people were told meanwhile."""

import json
from pathlib import Path

import pytest

from command_center.evidence.export import export
from command_center.evidence.selection import Selection
from command_center.evidence.signatures import is_signature
from command_center.evidence.verifier.main import claims
from command_center.state_dir import StateDir
from relay.clock import SimulatedClock
from relay.header import Kind
from relay.kinds.retraction import Ground, Retraction
from tests.command_center.house import House
from tests.evidence.scene import make, unpack, wrong_in


async def taken_back(house: House) -> None:
    gate, yard = house.node("gate"), house.node("yard")
    alert = gate.alert()
    await house.deliver(gate, alert, gate.alert(label="knife"))
    said = Retraction(alert_id=alert.id, ground=Ground.CONTRADICTED, note="an umbrella")
    await house.deliver(gate, gate.body(Kind.RETRACTION, said))
    await house.deliver(yard, yard.heartbeat(), yard.body(Kind.RETRACTION, said))


@pytest.mark.parametrize(("is_all", "count"), [(False, 1), (True, 2)])
def test_retraction_is_in_the_bag_and_a_changed_one_is_found(tmp_path: Path, is_all: bool, count: int) -> None:
    state_dir = make(tmp_path / "center", taken_back)
    chosen = Selection(is_all=True) if is_all else Selection(incidents=("1",))
    made = export(StateDir(state_dir), chosen, tmp_path / "bag.zip", SimulatedClock())
    bag_dir = unpack(made.file, tmp_path / "out")
    lines = "\n".join(claims(bag_dir, authority=made.authority, check_signature=is_signature))
    assert f"{count} retractions" in lines
    views = [json.loads(file.read_text()) for file in (bag_dir / "data" / "retractions").glob("*.json")
             if not file.name.endswith(".dsse.json")]  # fmt: skip
    assert {(view["ground"], view["note"]) for view in views} == {("contradicted", "an umbrella")}
    assert len(views) == count
    assert "retraction" in (bag_dir / "data" / "custody" / "custody.csv").read_text()
    body = next((bag_dir / "data" / "retractions").glob("*.body"))
    body.write_bytes(body.read_bytes()[:-1] + b"!")
    assert str(body.relative_to(bag_dir)) in wrong_in(bag_dir), "the file that is wrong is named"


async def taken_back_early(house: House) -> None:
    gate = house.node("gate")
    alert = gate.alert()
    early = gate.body(Kind.RETRACTION, Retraction(alert_id=alert.id, ground=Ground.CONTRADICTED, note="an umbrella"))
    await house.deliver(gate, gate.heartbeat(), early)
    await house.deliver(gate, alert)


@pytest.mark.parametrize("is_all", [False, True])
def test_retraction_that_came_before_its_alert_is_in_the_bag_once(tmp_path: Path, is_all: bool) -> None:
    state_dir = make(tmp_path / "center", taken_back_early)
    chosen = Selection(is_all=True) if is_all else Selection(incidents=("1",))
    made = export(StateDir(state_dir), chosen, tmp_path / "bag.zip", SimulatedClock())
    bag_dir = unpack(made.file, tmp_path / "out")
    assert "1 retractions" in "\n".join(claims(bag_dir, authority=made.authority, check_signature=is_signature))
    assert (bag_dir / "data" / "custody" / "custody.csv").read_text().count("retraction") == 1
