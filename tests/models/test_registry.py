"""The registry switches models whole or not at all, and opens only what it verified again."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from models.bundle import Signer
from models.errors import (
    BundleUnsigned,
    ManifestInvalid,
    NothingActive,
    NothingToRollBackTo,
    NotInstalled,
    RegistryBusy,
    RegistryDamaged,
    WeightsChanged,
)
from models.registry import ModelId, Registry, Selection
from tests.models.packing import SIGNER, STRANGER, TRUSTED, WEIGHTS, packed

# Does one thing to a registry and dies at the n-th step that touches the disk for good. Prints nothing.
DIES_AT_STEP = """
import os, sys
from pathlib import Path
from models.bundle import Signer
from models.registry import ModelId, Registry

act, registry_dir, argument, signer, deadly = sys.argv[1:6]
steps = 0

def counted(step):
    def run(*args, **named):
        global steps
        steps += 1
        if steps == int(deadly):
            os._exit(9)
        return step(*args, **named)
    return run

os.fsync = counted(os.fsync)
os.rename = counted(os.rename)
os.replace = counted(os.replace)
os.mkdir = counted(os.mkdir)
registry = Registry(Path(registry_dir), frozenset({Signer(bytes.fromhex(signer))}))
match act:
    case "install":
        registry.install(Path(argument))
    case "activate":
        registry.activate(ModelId(argument))
    case "roll_back":
        registry.roll_back()
"""
MOST_STEPS = 40


def die_at(step: int, act: str, registry_dir: Path, argument: str) -> bool:
    """Whether the process died at that step; False once the act has fewer steps and succeeded."""
    ended = subprocess.run(
        [sys.executable, "-c", DIES_AT_STEP, act, str(registry_dir), argument, SIGNER.hex(), str(step)],
        capture_output=True,
        timeout=60,
        text=True,
    )
    assert ended.returncode in (0, 9), ended.stderr
    return ended.returncode == 9


def two_models(tmp_path: Path) -> tuple[Registry, ModelId, ModelId]:
    registry = Registry(tmp_path / "registry", TRUSTED)
    first = registry.install(packed(tmp_path, version="1.0.0").bundle_file)
    second = registry.install(packed(tmp_path, version="2.0.0", weights=WEIGHTS + b"more").bundle_file)
    return registry, first, second


def test_installed_model_is_not_active_by_itself(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry", TRUSTED)
    installed = registry.install(packed(tmp_path).bundle_file)
    assert registry.installed() == (installed,)
    assert registry.selection() is None
    with pytest.raises(NothingActive):
        registry.open_active()


def test_active_model_gives_the_packed_weights(tmp_path: Path) -> None:
    registry, first, second = two_models(tmp_path)
    assert registry.activate(first) == Selection(active=first, previous=None)
    assert registry.open_active().read_weights() == WEIGHTS
    assert registry.activate(second) == Selection(active=second, previous=first)
    model = registry.open_active()
    assert (model.id, model.signer) == (second, SIGNER)
    assert model.read_weights() == WEIGHTS + b"more"


def test_roll_back_returns_to_the_previous_model_and_back_again(tmp_path: Path) -> None:
    registry, first, second = two_models(tmp_path)
    registry.activate(first)
    registry.activate(second)
    assert registry.roll_back() == Selection(active=first, previous=second)
    assert registry.open_active().id == first
    assert registry.roll_back() == Selection(active=second, previous=first)


def test_activating_the_active_model_keeps_the_way_back(tmp_path: Path) -> None:
    registry, first, second = two_models(tmp_path)
    registry.activate(first)
    registry.activate(second)
    assert registry.activate(second) == Selection(active=second, previous=first)


def test_roll_back_without_an_earlier_model_is_refused(tmp_path: Path) -> None:
    registry, first, _ = two_models(tmp_path)
    registry.activate(first)
    with pytest.raises(NothingToRollBackTo):
        registry.roll_back()


def test_installing_twice_changes_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry", TRUSTED)
    bundle_file = packed(tmp_path).bundle_file
    assert registry.install(bundle_file) == registry.install(bundle_file)
    assert len(registry.installed()) == 1


def test_installing_again_mends_a_damaged_model(tmp_path: Path) -> None:
    registry, first, _ = two_models(tmp_path)
    registry.activate(first)
    registry.open(first).weights_file.write_bytes(b"rust")
    with pytest.raises(WeightsChanged):
        registry.open_active()
    assert registry.install(tmp_path / "1.0.0.heardmodel") == first
    assert registry.open_active().read_weights() == WEIGHTS


def test_second_process_that_changes_the_registry_is_told_to_wait(tmp_path: Path) -> None:
    registry, first, _ = two_models(tmp_path)
    with (tmp_path / "registry" / ".lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RegistryBusy):
            registry.activate(first)
    assert registry.activate(first).active == first


@pytest.mark.parametrize("name", ["", "..", "../installed", "/", "yard-detector@9.9.9-000000000000"])
def test_unknown_model_is_refused(tmp_path: Path, name: str) -> None:
    registry, _, _ = two_models(tmp_path)
    with pytest.raises(NotInstalled):
        registry.activate(ModelId(name))


def test_weights_changed_on_disk_are_refused_and_the_other_model_stays_usable(tmp_path: Path) -> None:
    registry, first, second = two_models(tmp_path)
    registry.activate(first)
    registry.activate(second)
    weights_file = registry.open_active().weights_file
    content = bytearray(weights_file.read_bytes())
    content[100] ^= 1
    weights_file.write_bytes(bytes(content))
    with pytest.raises(WeightsChanged):
        registry.open_active()
    assert registry.roll_back().active == first
    with pytest.raises(WeightsChanged):
        registry.roll_back()
    assert registry.open_active().id == first


def test_weights_swapped_between_check_and_use_are_noticed(tmp_path: Path) -> None:
    registry, first, _ = two_models(tmp_path)
    registry.activate(first)
    model = registry.open_active()
    model.weights_file.write_bytes(WEIGHTS[::-1])
    with pytest.raises(WeightsChanged):
        model.read_weights()


def test_weights_replaced_by_a_link_are_refused(tmp_path: Path) -> None:
    registry, first, _ = two_models(tmp_path)
    weights_file = registry.open(first).weights_file
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(WEIGHTS)
    weights_file.unlink()
    weights_file.symlink_to(elsewhere)
    with pytest.raises(RegistryDamaged):
        registry.open(first)


def test_manifest_changed_on_disk_is_refused(tmp_path: Path) -> None:
    registry, first, _ = two_models(tmp_path)
    manifest_file = tmp_path / "registry" / "installed" / first / "manifest.json"
    manifest_file.write_bytes(manifest_file.read_bytes().replace(b"yard-detector", b"yard-detectoR"))
    with pytest.raises((BundleUnsigned, ManifestInvalid)):
        registry.open(first)


def test_model_put_under_another_models_name_is_refused(tmp_path: Path) -> None:
    """A downgrade by hand: the old, properly signed model under the new one's name."""
    registry, first, second = two_models(tmp_path)
    installed_dir = tmp_path / "registry" / "installed"
    (installed_dir / second).rename(tmp_path / "away")
    (installed_dir / first).rename(installed_dir / second)
    with pytest.raises(RegistryDamaged):
        registry.open(second)


def test_signer_that_is_trusted_no_longer_is_refused(tmp_path: Path) -> None:
    _, first, _ = two_models(tmp_path)
    later = Registry(tmp_path / "registry", frozenset({Signer(bytes(STRANGER.verify_key))}))
    with pytest.raises(BundleUnsigned):
        later.open(first)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"active":"../../x","previous":null}', b"\xff", b" " * 5000])
def test_damaged_selection_is_named_and_not_guessed(tmp_path: Path, content: bytes) -> None:
    registry, first, _ = two_models(tmp_path)
    registry.activate(first)
    (tmp_path / "registry" / "selection.json").write_bytes(content)
    with pytest.raises(RegistryDamaged):
        registry.open_active()


def test_install_killed_at_any_step_leaves_no_half_model(tmp_path: Path) -> None:
    bundle_file = packed(tmp_path).bundle_file
    deaths = 0
    for step in range(1, MOST_STEPS):
        registry_dir = tmp_path / f"registry{step}"
        died = die_at(step, "install", registry_dir, str(bundle_file))
        registry = Registry(registry_dir, TRUSTED)
        for whole in registry.installed():
            assert registry.open(whole).read_weights() == WEIGHTS
        again = registry.install(bundle_file)
        assert registry.installed() == (again,)
        assert registry.open(again).read_weights() == WEIGHTS
        assert list(registry_dir.glob(".incoming-*")) == []
        if not died:
            break
        deaths += 1
    assert deaths >= 6, f"the fault must really happen between the steps; it happened {deaths} times"
    assert not died


@pytest.mark.parametrize("act", ["activate", "roll_back"])
def test_switch_killed_at_any_step_leaves_the_old_choice_or_the_new(tmp_path: Path, act: str) -> None:
    registry, first, second = two_models(tmp_path)
    registry.activate(first)
    if act == "roll_back":
        registry.activate(second)
    before = registry.selection()
    assert before is not None
    after = Selection(active=second if act == "activate" else first, previous=before.active)
    selection_file = tmp_path / "registry" / "selection.json"
    untouched = selection_file.read_bytes()
    seen, deaths = set(), 0
    for step in range(1, MOST_STEPS):
        selection_file.write_bytes(untouched)
        died = die_at(step, act, tmp_path / "registry", second)
        now = registry.selection()
        assert now in (before, after)
        seen.add(now)
        assert registry.open_active().id in (first, second)
        if not died:
            break
        deaths += 1
    assert deaths >= 3, f"the fault must really happen between the steps; it happened {deaths} times"
    assert seen == {before, after}
    assert registry.selection() == after
