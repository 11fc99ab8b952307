"""Renders the demonstration clip, its ground truth, and the pictures that the demonstration detector learns from.

Run it: `python -m models.demonstration.render_scene clip --to DIR` or `… pictures --to DIR --count 400 --seed 7`.
The same seed gives the same pixels. The clip and the training pictures never share a seed. Needs the `node` extra.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from . import ArmedEvent, FrameTruth, SceneTruth, TruthBox, Zone
from .carried import Carried
from .figures import TAGS_PER_PERSON, WEAPON_TAG, Person, Stance, body
from .painter import HEIGHT, WIDTH, Color, Labels, Light, cast_shadows, paint
from .site import Site, build_site

CLIP_SEED: Final = 20_260
CLIP_SECONDS: Final = 66
FRAMES_PER_SECOND: Final = 15
LABELS: Final = ("person", "handgun", "long_gun")
LONGEST_STRIDE_M: Final = 1.42
LEAST_VISIBLE_SHARE: Final = 0.45
LEAST_WEAPON_PX: Final = 18
LEAST_PERSON_PX: Final = 40
YARD: Final = Zone(name="yard", polygon_xy=((0.0, 0.45), (1.0, 0.45), (1.0, 1.0), (0.0, 1.0)))

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """One person's way through the yard: straight from one place to another, from a moment on."""

    person: Person
    begins_s: float
    from_xz_m: tuple[float, float]
    to_xz_m: tuple[float, float]
    speed_m_per_s: float

    @property
    def lasts_s(self) -> float:
        """How long the way takes."""
        return math.dist(self.from_xz_m, self.to_xz_m) / self.speed_m_per_s

    def stance(self, after_s: float) -> Stance | None:
        """Where the person is, so long after the clip's start in an endless loop; None while it is elsewhere."""
        since = (after_s - self.begins_s) % CLIP_SECONDS
        if since > self.lasts_s:
            return None
        share = since / self.lasts_s
        (x0, z0), (x1, z1) = self.from_xz_m, self.to_xz_m
        return Stance(
            x_m=x0 + (x1 - x0) * share,
            z_m=z0 + (z1 - z0) * share,
            heading_rad=math.atan2(x1 - x0, z1 - z0),
            phase_rad=2 * math.pi * since * self.speed_m_per_s / LONGEST_STRIDE_M,
            stride=min(self.speed_m_per_s / 1.3, 1.1),
        )


def draw_person(random: np.random.Generator, number: int, carried: Carried) -> Person:
    """Someone new: build, clothes and colors by chance."""

    def color(low: float, high: float, spread: float) -> Color:
        tone = random.uniform(low, high)
        blue, green, red = (float(np.clip(tone + random.normal(0, spread), 18, 225)) for _ in range(3))
        return (blue, green, red)

    tan = float(random.uniform(0.45, 1.08))
    gray = float(random.uniform(24, 62))
    bright = carried in (Carried.UMBRELLA, Carried.CLOSED_UMBRELLA, Carried.BAG, Carried.DRILL)
    brown = (gray, gray * 1.05, gray * 1.1) if random.random() < 0.7 else (38.0, 62.0, 92.0)
    return Person(
        number=number,
        stature_m=float(random.uniform(1.62, 1.88)),
        girth=float(random.uniform(0.92, 1.14)),
        jacket=color(40, 170, 34),
        trousers=color(38, 110, 14),
        skin=(132 * tan, 160 * tan, 205 * tan),
        hair=color(26, 80, 12),
        shoes=color(24, 60, 8),
        has_hood=bool(random.random() < 0.3),
        has_skirted_coat=bool(random.random() < 0.35),
        carried=carried,
        is_raised=bool(random.random() < 0.5),
        prop_color=color(30, 150, 40) if bright else brown,
    )


def plan_clip(seed: int = CLIP_SEED) -> tuple[Walk, ...]:
    """Who walks through the clip and when: someone armed about every seven seconds, others all the time."""
    random = np.random.default_rng(seed)
    weapons = (Carried.LONG_GUN, Carried.HANDGUN)
    harmless = (
        Carried.UMBRELLA, Carried.NOTHING, Carried.PHONE, Carried.BROOM, Carried.BAG, Carried.DRILL,
        Carried.CLOSED_UMBRELLA, Carried.NOTHING, Carried.PHONE, Carried.UMBRELLA, Carried.DRILL, Carried.BAG,
        Carried.BROOM, Carried.NOTHING, Carried.CLOSED_UMBRELLA, Carried.PHONE,
    )  # fmt: skip
    walks = []
    armed = 9
    for turn in range(armed):
        person = _soberly_dressed(draw_person(random, turn, weapons[turn % 2]))
        person = replace(person, is_raised=turn % 4 in (0, 3))
        near = float(random.uniform(5.2, 6.0)) if person.carried is Carried.HANDGUN else float(random.uniform(5.4, 6.8))
        begins = CLIP_SECONDS * turn / armed + 0.1
        walks.append(_crossing(random, person, begins, near, leftwards=bool(turn % 2), speed=1.35))
    for turn, carried in enumerate(harmless):
        person = _soberly_dressed(draw_person(random, armed + turn, carried))
        begins = CLIP_SECONDS * turn / len(harmless) + float(random.uniform(0.0, 2.0)) - 3.0
        deep = float(random.uniform(6.9, 8.4)) if turn % 3 else float(random.uniform(5.6, 6.6))
        walks.append(_crossing(random, person, begins, deep, leftwards=bool(random.random() < 0.5), speed=1.2))
    return tuple(walks)


def _soberly_dressed(person: Person) -> Person:
    """The same person in quieter clothes: training wants every color, the people who watch the clip do not."""
    blue, green, red = person.jacket
    gray = (blue + green + red) / 3.0
    quiet = (gray + (blue - gray) * 0.45, gray + (green - gray) * 0.4, gray + (red - gray) * 0.5)
    return replace(person, jacket=quiet, hair=(person.hair[0] * 0.8, person.hair[1] * 0.85, person.hair[2]))


def _crossing(
    random: np.random.Generator, person: Person, begins_s: float, depth_m: float, *, leftwards: bool, speed: float
) -> Walk:
    slant = float(random.uniform(-0.7, 0.7))
    first, last = max(depth_m - slant, 5.0), max(depth_m + slant, 5.0)
    start, end = (-0.60 * first - 0.9, first), (0.60 * last + 0.9, last)
    if leftwards:
        start, end = (0.60 * first + 0.9, first), (-0.60 * last - 0.9, last)
    return Walk(
        person=person,
        begins_s=begins_s % CLIP_SECONDS,
        from_xz_m=start,
        to_xz_m=end,
        speed_m_per_s=speed * float(random.uniform(0.92, 1.1)),
    )


def draw_frame(
    site: Site, cast: list[tuple[Person, Stance]], brightness: float, noise: np.random.Generator
) -> tuple[Picture, tuple[TruthBox, ...]]:
    """One picture and the boxes in it. *Shapes*: `(720, 1280, 3) uint8, BGR`."""
    light = Light(
        toward=site.light.toward,
        sun=site.light.sun * brightness,
        sky=site.light.sky * brightness,
        tint=site.light.tint,
    )
    picture = site.picture * np.float32(brightness)
    labels: Labels = np.zeros((HEIGHT, WIDTH), np.int16)
    solids = [solid for person, stance in cast for solid in body(person, stance)] + list(site.furniture)
    cast_shadows(picture, site.camera, light, solids)
    alone: dict[int, int] = {}
    for solid in sorted(solids, key=lambda one: -one.depth_m(site.camera)):
        alone[solid.tag] = alone.get(solid.tag, 0) + paint(picture, labels, site.camera, light, solid)
    grain = noise.normal(0.0, 1.6, (HEIGHT // 2, WIDTH // 2)).astype(np.float32)
    picture += cv2.resize(grain, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)[..., None]
    finished = np.clip(picture, 0, 255).astype(np.uint8)
    boxes = [box for person, _ in cast for box in _boxes(labels, alone, person)]
    return finished, tuple(boxes)


def _boxes(labels: Labels, alone: dict[int, int], person: Person) -> Iterator[TruthBox]:
    """The visible boxes of one person and of its weapon; what is mostly hidden is left out."""
    tag = 1 + person.number * TAGS_PER_PERSON
    everything = np.logical_or(labels == tag, labels == tag + WEAPON_TAG)
    bounds = _bounds(everything)
    if bounds is not None and bounds[3] - bounds[1] >= LEAST_PERSON_PX and bounds[2] - bounds[0] >= LEAST_WEAPON_PX:
        yield TruthBox(label="person", track=person.number, bbox_xyxy_px=bounds)
    if not person.carried.is_weapon:
        return
    weapon = labels == tag + WEAPON_TAG
    bounds = _bounds(weapon)
    if bounds is None or max(bounds[2] - bounds[0], bounds[3] - bounds[1]) < LEAST_WEAPON_PX:
        return
    # Parts overlap, so the sum of parts is more than the whole: about one half of it shows in the open.
    if int(weapon.sum()) >= 0.5 * LEAST_VISIBLE_SHARE * alone[tag + WEAPON_TAG]:
        yield TruthBox(label=person.carried.value, track=person.number, bbox_xyxy_px=bounds)


def _bounds(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def render_clip(seed: int = CLIP_SEED, *, frames: range | None = None) -> Iterator[tuple[Picture, FrameTruth]]:
    """The clip's frames in order, with their truth; `frames` picks some of them."""
    site = build_site(seed)
    walks = plan_clip(seed)
    for index in frames or range(CLIP_SECONDS * FRAMES_PER_SECOND):
        after_s = index / FRAMES_PER_SECOND
        stances = [(walk.person, walk.stance(after_s)) for walk in walks]
        cast = [(person, stance) for person, stance in stances if stance is not None]
        drift = 1.0 + 0.05 * math.sin(2 * math.pi * after_s / CLIP_SECONDS)
        noise = np.random.default_rng((seed, index))
        picture, boxes = draw_frame(site, cast, drift, noise)
        yield picture, FrameTruth(index=index, boxes=boxes)


def armed_events(frames: list[FrameTruth], zone: str) -> tuple[ArmedEvent, ...]:
    """Each weapon's stay in view, from its first visible frame to its last; a pause under one second joins."""
    spans: dict[int, list[tuple[int, int, str]]] = {}
    for frame in frames:
        for box in frame.boxes:
            if box.label == "person":
                continue
            stays = spans.setdefault(box.track, [])
            if stays and frame.index - stays[-1][1] <= FRAMES_PER_SECOND:
                stays[-1] = (stays[-1][0], frame.index, box.label)
            else:
                stays.append((frame.index, frame.index, box.label))
    events = [
        ArmedEvent(first_frame=first, last_frame=last, label=label, track=track, zone=zone)
        for track, stays in spans.items()
        for first, last, label in stays
    ]
    return tuple(sorted(events, key=lambda event: event.first_frame))


def write_clip(to_dir: Path, seed: int = CLIP_SEED, *, quality: int = 30) -> SceneTruth:
    """Writes `scene.mp4` and `scene.truth.json`."""
    to_dir.mkdir(parents=True, exist_ok=True)
    truths: list[FrameTruth] = []
    with av.open(str(to_dir / "scene.mp4"), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, FRAMES_PER_SECOND)
        stream.options = {
            "crf": str(quality),
            "preset": "slow",
            "g": str(FRAMES_PER_SECOND),
            "keyint_min": str(FRAMES_PER_SECOND),
            "bf": "0",
            "sc_threshold": "0",
            "threads": "1",  # the same bytes whatever the machine
        }
        for picture, shown in render_clip(seed):
            truths.append(shown)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    truth = SceneTruth(
        width_px=WIDTH,
        height_px=HEIGHT,
        frames_per_second=FRAMES_PER_SECOND,
        frame_count=len(truths),
        seed=seed,
        zones=(YARD,),
        events=armed_events(truths, YARD.name),
        frames=tuple(truths),
    )
    (to_dir / "scene.truth.json").write_bytes(msgspec.json.encode(truth) + b"\n")
    return truth


def render_pictures(count: int, seed: int) -> Iterator[tuple[Picture, tuple[TruthBox, ...]]]:
    """Unrelated pictures for training: every eighth a new yard and light, every one new people."""
    random = np.random.default_rng(seed)
    every = tuple(Carried)
    site = build_site(int(random.integers(2**31)))
    for index in range(count):
        if index % 8 == 0:
            site = build_site(int(random.integers(2**31)))
        cast = []
        for number in range(int(random.choice([0, 1, 2, 3, 4, 5], p=[0.04, 0.16, 0.25, 0.25, 0.2, 0.1]))):
            chance = random.random()
            weapon = Carried.LONG_GUN if chance < 0.24 else Carried.HANDGUN
            carried = weapon if chance < 0.5 else every[2 + int(random.integers(len(every) - 2))]
            depth = float(random.uniform(5.0, 8.6 if not carried.is_weapon else 7.4))
            sideways = math.copysign(math.pi / 2, random.random() - 0.5) + float(random.normal(0, 0.35))
            heading = sideways if random.random() < 0.75 else float(random.uniform(-math.pi, math.pi))
            stance = Stance(
                x_m=float(random.uniform(-0.62, 0.62)) * depth,
                z_m=depth,
                heading_rad=heading,
                phase_rad=float(random.uniform(0, 2 * math.pi)),
                stride=float(random.uniform(0.0, 1.1)),
            )
            cast.append((draw_person(random, number, carried), stance))
        yield draw_frame(site, cast, float(random.uniform(0.82, 1.15)), random)


def write_pictures(to_dir: Path, count: int, seed: int) -> None:
    """Writes JPEG pictures and YOLO label files: `images/*.jpg`, `labels/*.txt`."""
    images_dir, labels_dir = to_dir / "images", to_dir / "labels"
    images_dir.mkdir(parents=True, exist_ok=True)
    labels_dir.mkdir(parents=True, exist_ok=True)
    for index, (picture, boxes) in enumerate(render_pictures(count, seed)):
        small = cv2.resize(picture, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(images_dir / f"{index:05}.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 60 + index % 36])
        (labels_dir / f"{index:05}.txt").write_text("".join(_yolo_line(box) for box in boxes), "utf-8")


def _yolo_line(box: TruthBox) -> str:
    left, top, right, bottom = box.bbox_xyxy_px
    x, y = (left + right) / 2 / WIDTH, (top + bottom) / 2 / HEIGHT
    width, height = (right - left) / WIDTH, (bottom - top) / HEIGHT
    return f"{LABELS.index(box.label)} {x:.6f} {y:.6f} {width:.6f} {height:.6f}\n"


def main() -> None:
    """Reads the command line and renders."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    clip = verbs.add_parser("clip", help="the demonstration clip and its truth")
    clip.add_argument("--to", type=Path, required=True)
    clip.add_argument("--seed", type=int, default=CLIP_SEED)
    clip.add_argument("--quality", type=int, default=30)
    pictures = verbs.add_parser("pictures", help="pictures and labels to train on")
    pictures.add_argument("--to", type=Path, required=True)
    pictures.add_argument("--count", type=int, default=400)
    pictures.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    if chosen.verb == "clip":
        truth = write_clip(chosen.to, chosen.seed, quality=chosen.quality)
        print(f"{truth.frame_count} frames, {len(truth.events)} armed figures in {chosen.to}")
    else:
        write_pictures(chosen.to, chosen.count, chosen.seed)
        print(f"{chosen.count} pictures in {chosen.to}")


if __name__ == "__main__":
    main()
