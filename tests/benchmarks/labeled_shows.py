"""Labeled pictures, shown to a camera for three seconds, with what each rule should tell of them.

There is no labeled footage of this kind under a clear license: so each picture of COCO val is a scene that sways by one percent for two
seconds, with a sensor's noise; then the camera turns by eight percent, so that whoever stands left of the middle crosses a line there. It
turns slowly: a quick turn is a change of the whole picture, after which everything but weapons is held off for two seconds.
What of a picture is within a hand's breadth of a rule's bound is not counted: its answer says more about the label than about the
rule. Needs only OpenCV and numpy beside the product: the Ultralytics side reads it with its own Python.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from camera_node.coco import COCO_LABELS
from camera_node.frame import Frame, Pixels

DATA = Path(os.environ.get("HEARD_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
MIDDLE = 0.5
CLOSE = 0.02
"""Of the width: nearer to the bound than this is either answer."""
SWAY = 0.01
SWAY_FRAMES, SWAY_STEP_MS = 11, 200
TURN_FRAMES, TURN_STEP_MS, TURN_A_FRAME = 40, 200, 0.002
LEAST_CROWD = 3
NEAR = 0.12
BAGS = frozenset({"backpack", "handbag", "suitcase"})
WEAPON, PERSON, ZONE, LOITERING, LINE, CROWD, BAG = (
    "weapon (COCO has knives only)", "person (class of interest)", "zone intrusion", "loitering", "line crossing", "crowd",
    "abandoned object",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A labeled box; shares of the picture's width and height."""

    label: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledPicture:
    """One picture and what is on it."""

    pixels: Pixels
    things: tuple[Thing, ...]

    @property
    def people(self) -> list[Thing]:
        """Those on it."""
        return [thing for thing in self.things if thing.label == "person"]

    @property
    def turns(self) -> bool:
        """Whether somebody is near enough to the line that a turn asks something of the rule."""
        return any(MIDDLE - 2 * TURN_FRAMES * TURN_A_FRAME < person.x < MIDDLE + 0.05 for person in self.people)


def pictures() -> Iterator[LabeledPicture]:
    """All, in the order of their names."""
    for file in sorted((DATA / "coco_val128/images").glob("*.jpg")):
        label_file = DATA / "coco_val128/labels" / f"{file.stem}.txt"
        lines = label_file.read_text().split("\n") if label_file.exists() else []
        rows = [[float(part) for part in line.split()] for line in lines if line.strip()]
        things = [
            Thing(label=COCO_LABELS[int(kind)], x=x, y=y, width=width, height=height)
            for kind, x, y, width, height in rows
        ]
        yield LabeledPicture(pixels=np.asarray(cv2.imread(str(file)), np.uint8), things=tuple(things))


def shown(picture: LabeledPicture) -> Iterator[Frame]:
    """Its frames; the camera turns only where somebody is near the line."""
    height, width = picture.pixels.shape[:2]
    noise = np.random.default_rng(5).normal(0, 2, picture.pixels.shape).astype(np.int16)
    turn = TURN_FRAMES if picture.turns else 0
    now_ms = 0
    for number in range(SWAY_FRAMES + turn):
        turned = max(0, number - SWAY_FRAMES + 1) * TURN_A_FRAME
        shift = width * (turned + (SWAY * np.sin(number / 3) if not turned else 0.0))
        moved = cv2.warpAffine(picture.pixels, np.array([[1, 0, shift], [0, 1, 0]], np.float32), (width, height),
                               borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
        noisy = np.clip(moved + np.roll(noise, 17 * number, axis=(0, 1)), 0, 255).astype(np.uint8)
        yield Frame(
            pixels=noisy, captured_monotonic_ms=now_ms, captured_wall_ms=now_ms, sequence=number, clip_time_ms=0
        )
        now_ms += TURN_STEP_MS if turned else SWAY_STEP_MS


def truth(picture: LabeledPicture) -> dict[str, bool | None]:
    """What each rule should tell; None: too close to call."""
    people, labels = picture.people, {thing.label for thing in picture.things}
    within = [_below(person.x, MIDDLE - SWAY - CLOSE, MIDDLE + SWAY + CLOSE) for person in people]
    return {
        WEAPON: "knife" in labels,
        PERSON: bool(people),
        ZONE: _any(within),
        LOITERING: _any(within),
        LINE: _any([_crosses(person) for person in people]) if picture.turns else None,
        CROWD: len(people) >= LEAST_CROWD,
        BAG: _any([_is_alone(thing, people) for thing in picture.things if thing.label in BAGS]),
    }


def _below(value: float, surely: float, surely_not: float) -> bool | None:
    return True if value <= surely else False if value >= surely_not else None


def _any(answers: list[bool | None]) -> bool | None:
    return True if True in answers else None if None in answers else False


def _crosses(person: Thing) -> bool | None:
    reach = TURN_FRAMES * TURN_A_FRAME
    if MIDDLE - reach + CLOSE <= person.x <= MIDDLE - SWAY - CLOSE:
        return True
    return False if person.x <= MIDDLE - reach - CLOSE or person.x >= MIDDLE + CLOSE else None


def _is_alone(bag: Thing, people: list[Thing]) -> bool | None:
    nearest = min((_gap(bag, person) for person in people), default=1.0)
    return True if nearest >= NEAR + CLOSE else False if nearest <= NEAR - CLOSE else None


def _gap(one: Thing, other: Thing) -> float:
    across = max(0.0, abs(one.x - other.x) - (one.width + other.width) / 2)
    down = max(0.0, abs(one.y - other.y) - (one.height + other.height) / 2)
    return float(np.hypot(across, down))
