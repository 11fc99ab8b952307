"""What a node's configuration can be wrong in beyond the types of its fields: names that are not there, bounds that meet.

Each check looks at one part and gives the first problem in words, or nothing. Called by ``config.load``.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from camera_node import frigate
from camera_node.rules.class_of_interest import ClassOfInterestSettings
from camera_node.rules.line_crossing import LineCrossingSettings
from camera_node.rules.zone_intrusion import ZoneIntrusionSettings
from camera_node.source import parse_source
from relay import limits

if TYPE_CHECKING:
    from camera_node.config import CameraConfig, ModelConfig, NodeConfig


def problem(config: "NodeConfig") -> str:
    """The first thing that is wrong; empty if nothing is."""
    return next((found for check in _CHECKS for found in check(config)), "")


def _models(config: "NodeConfig") -> Iterator[str]:
    yield from _model_problem("model", config.model)
    if config.second_stage is not None and config.second_stage.model is not None:
        yield from _model_problem("second_stage.model", config.second_stage.model)
    if config.second_stage is not None and config.second_stage.tier == "gateway":
        if not config.model.is_shared:
            yield '[second_stage] tier "gateway" needs [model] is_shared = true: there is no shared detector otherwise'
        elif config.second_stage.model is None:
            yield '[second_stage] tier "gateway" needs [second_stage.model]: without it the first stage looks again, shared or not'


def _model_problem(table: str, model: "ModelConfig") -> Iterator[str]:
    given = [name for name in ("registry_dir", "bundle_file", "weights_file") if getattr(model, name) is not None]
    if len(given) != 1:
        yield f"[{table}] expected exactly one of registry_dir, bundle_file, weights_file, found {' and '.join(given) or 'none'}"
    elif given != ["weights_file"] and model.signers_file is None:
        yield f"[{table}] {given[0]} needs signers_file: whose models are trusted"


def _names(config: "NodeConfig") -> Iterator[str]:
    named: dict[str, list[str]] = {
        "cameras": [camera.name for camera in config.camera], "paths": [path.name for path in config.path],
        "actions": [action.name for action in config.action],
    }  # fmt: skip
    for what, names in named.items():
        if doubled := _doubled(names):
            yield f"two {what} are called {doubled!r}: names must differ"


def _other_eyes(config: "NodeConfig") -> Iterator[str]:
    if config.frigate is not None and (found := frigate.problem(config.frigate)):
        yield found
    for eye in config.onvif:
        eye.endpoint()
        if not eye.topics:
            yield f"[[onvif]] {eye.camera!r}: topics is empty: nothing would ever be told"


def _actions(config: "NodeConfig") -> Iterator[str]:
    known = [action.name for action in config.action]
    for name in config.fallback.actions:
        if name not in known:
            yield f"[fallback] actions names {name!r}, known are {', '.join(known) or 'none'}: add an [[action]] of that name"


def _room(config: "NodeConfig") -> Iterator[str]:
    if config.spool.reserve_bytes >= config.spool.capacity_bytes:
        yield "[spool] reserve_bytes must be less than capacity_bytes"
    for camera in config.camera:
        rolls_s = sum(config.clip.rolls_s(camera))
        if rolls_s > config.clip.longest_s:
            yield (
                f"[clip] longest_s must be at least pre_roll_s + post_roll_s of camera {camera.name!r}, "
                f"{rolls_s:g}, found {config.clip.longest_s:g}"
            )


def _cameras(config: "NodeConfig") -> Iterator[str]:
    for camera in config.camera:
        yield from _camera_problem(camera)


def _camera_problem(camera: "CameraConfig") -> Iterator[str]:
    names = [zone.name for zone in camera.zone]
    for what, name in [("camera", camera.name), *(("zone", name) for name in names)]:
        size = len(name.encode())
        if not 1 <= size <= limits.MAX_TAG_BYTES:
            yield (
                f"expected 1 to {limits.MAX_TAG_BYTES} bytes of UTF-8 for the name of a {what}, found {size} in {name!r}: "
                "it travels in every alert, and an alert must fit one radio frame"
            )
    if doubled := _doubled(names):
        yield f"camera {camera.name!r}: two zones are called {doubled!r}"
    for rule in camera.rule:
        missing = [zone for zone in rule.zones if zone not in names]
        if missing:
            yield f"camera {camera.name!r}: a rule names the zone {missing[0]!r}, known are {', '.join(names) or 'none'}"
        if isinstance(rule, LineCrossingSettings) and rule.line[0] == rule.line[1]:
            yield f"camera {camera.name!r}: expected two different points for a line, found {rule.line[0]} twice"
        if isinstance(rule, LineCrossingSettings) and not 1 <= len(rule.name.encode()) <= limits.MAX_TAG_BYTES:
            yield f"camera {camera.name!r}: expected 1 to {limits.MAX_TAG_BYTES} bytes for a line's name, found {rule.name!r}"
        if isinstance(rule, ClassOfInterestSettings | ZoneIntrusionSettings) and rule.hits > rule.window:
            yield f"camera {camera.name!r}: expected hits ≤ window, found {rule.hits} of {rule.window}"
    for what, text in (("source", camera.source), ("sub_source", camera.sub_source)):
        try:
            if what == "source" or text:
                parse_source(text)
        except ValueError as error:
            yield f"camera {camera.name!r}: {what}: {error}"


def _doubled(names: Sequence[str]) -> str:
    return next((name for name in names if names.count(name) > 1), "")


_CHECKS: Final[tuple[Callable[["NodeConfig"], Iterator[str]], ...]] = (
    _models,
    _names,
    _other_eyes,
    _actions,
    _room,
    _cameras,
)
