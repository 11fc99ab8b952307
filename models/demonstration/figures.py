"""Builds the people of the demonstration scene, and what they carry, out of `painter.Solid`s.

A `Person` says who walks and how; `body` gives the solids of one instant. Weapon-like objects and harmless
look-alikes are built side by side here, so that anyone can judge what the detector is asked to tell apart.

Body axes: `forward` and `left` on the ground, up; lengths in metres for a height of 1.75 m, scaled afterwards.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from .painter import Color, Doubles, Point, Solid, Sphere

WEAPON_TAG: Final = 1
BODY_TAG: Final = 0
TAGS_PER_PERSON: Final = 2


class Carried(Enum):
    """What a person holds. Only the first two are weapon-like."""

    LONG_GUN = "long_gun"
    HANDGUN = "handgun"
    UMBRELLA = "umbrella"
    CLOSED_UMBRELLA = "closed_umbrella"
    PHONE = "phone"
    BAG = "bag"
    BROOM = "broom"
    DRILL = "drill"
    NOTHING = "nothing"

    @property
    def is_weapon(self) -> bool:
        """True for what the detector has to report."""
        return self in (Carried.LONG_GUN, Carried.HANDGUN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One figure: clothes, build, what it carries and in which of the pose's two ways (`is_raised`)."""

    number: int
    stature_m: float
    girth: float
    jacket: Color
    trousers: Color
    skin: Color
    hair: Color
    shoes: Color
    has_hood: bool
    has_skirted_coat: bool
    carried: Carried
    is_raised: bool
    prop_color: Color


@dataclass(frozen=True, slots=True, kw_only=True)
class Stance:
    """Where a person stands and how far its step has come. `stride` is 0 for standing, 1 for a brisk walk."""

    x_m: float
    z_m: float
    heading_rad: float
    phase_rad: float
    stride: float


class _Frame:
    """Turns body coordinates (forward, left, up) into world points."""

    def __init__(self, stance: Stance, scale: float) -> None:
        self.forward = np.array([math.sin(stance.heading_rad), 0.0, math.cos(stance.heading_rad)])
        self.left = np.array([-math.cos(stance.heading_rad), 0.0, math.sin(stance.heading_rad)])
        self.origin = np.array([stance.x_m, 0.0, stance.z_m])
        self.scale = scale

    def world(self, point: Doubles) -> Point:
        placed = self.origin + self.scale * (
            self.forward * point[0] + self.left * point[1] + np.array([0.0, 1.0, 0.0]) * point[2]
        )
        return (float(placed[0]), float(placed[1]), float(placed[2]))

    def sphere(self, point: Doubles, radius: float) -> Sphere:
        return (self.world(point), radius * self.scale)


def _at(forward: float, left: float, up: float) -> Doubles:
    return np.array([forward, left, up], dtype=np.float64)


def _joint(start: Doubles, end: Doubles, upper: float, lower: float, pole: Doubles) -> Doubles:
    """The elbow or knee between two ends: two-bone inverse kinematics, bent towards `pole`."""
    axis = end - start
    reach = min(float(np.linalg.norm(axis)), upper + lower - 1e-3)
    axis = axis / max(float(np.linalg.norm(axis)), 1e-6)
    along = (upper**2 - lower**2 + reach**2) / (2 * reach)
    aside = math.sqrt(max(upper**2 - along**2, 0.0))
    bend = pole - axis * float(pole @ axis)
    bend = bend / max(float(np.linalg.norm(bend)), 1e-6)
    return np.asarray(start + axis * along + bend * aside, dtype=np.float64)


def body(person: Person, stance: Stance) -> list[Solid]:
    """All solids of one person at one instant, carried object included."""
    frame = _Frame(stance, person.stature_m / 1.75)
    tag = 1 + person.number * TAGS_PER_PERSON
    bob = 0.022 * stance.stride * math.cos(2 * stance.phase_rad)
    solids: list[Solid] = []

    def add(color: Color, *spheres: tuple[Doubles, float], weave: float = 0.0, bias: float = 0.0) -> None:
        made = tuple(frame.sphere(point, radius) for point, radius in spheres)
        solids.append(Solid(spheres=made, color=color, tag=tag, weave=weave, bias_m=bias))

    for side in (1.0, -1.0):
        _leg(add, person, stance, side, bob)
    _torso(add, person, stance, bob)
    _head(add, person, bob)
    hands = _hands(person, stance, bob)
    for side, hand in ((1.0, hands[0]), (-1.0, hands[1])):
        shoulder = _at(-0.01, 0.20 * side * person.girth, 1.40 + bob)
        elbow = _joint(shoulder, hand, 0.29, 0.27, _at(-0.6, 0.35 * side, -0.7))
        add(person.jacket, (shoulder, 0.068 * person.girth), (elbow, 0.052), weave=0.07)
        add(person.jacket, (elbow, 0.051), (hand * 0.86 + elbow * 0.14, 0.038), weave=0.05)
        add(person.skin, (hand, 0.044), (hand * 1.12 - elbow * 0.12, 0.036))
    solids.extend(_prop(person, frame, hands, tag))
    return solids


def _leg(add, person: Person, stance: Stance, side: float, bob: float) -> None:  # type: ignore[no-untyped-def]
    phase = stance.phase_rad + (0.0 if side > 0 else math.pi)
    swing = 0.30 * stance.stride * math.sin(phase)
    lift = 0.11 * stance.stride * max(0.0, math.cos(phase)) ** 1.5
    hip = _at(0.0, 0.095 * side, 0.93 + bob)
    ankle = _at(swing * 1.05, 0.09 * side, 0.085 + lift)
    knee = _joint(hip, ankle, 0.44, 0.43, _at(1.0, 0.05 * side, 0.15))
    add(person.trousers, (hip, 0.098 * person.girth), (knee, 0.066), weave=0.06)
    add(person.trousers, (knee, 0.065), (ankle, 0.052), weave=0.08)
    tilt = 0.07 * stance.stride * math.sin(phase) if lift < 0.02 else -0.05 * stance.stride
    toe = ankle + _at(0.17, 0.015 * side, -0.045 + tilt)
    add(person.shoes, (ankle + _at(-0.045, 0.0, -0.045), 0.042), (toe, 0.033), (ankle + _at(0.02, 0, 0), 0.045))


def _torso(add, person: Person, stance: Stance, bob: float) -> None:  # type: ignore[no-untyped-def]
    girth = person.girth
    twist = 0.03 * stance.stride * math.sin(stance.phase_rad)
    hem = 0.70 if person.has_skirted_coat else 0.90
    add(
        person.jacket,
        (_at(-0.01 - twist, 0.15 * girth, 1.42 + bob), 0.075),
        (_at(-0.01 + twist, -0.15 * girth, 1.42 + bob), 0.075),
        (_at(0.02, 0.10 * girth, 1.22 + bob), 0.118 * girth),
        (_at(0.02, -0.10 * girth, 1.22 + bob), 0.118 * girth),
        (_at(0.0, 0.085 * girth, hem + bob), 0.105 * girth),
        (_at(0.0, -0.085 * girth, hem + bob), 0.105 * girth),
        weave=0.05,
        bias=0.09,
    )
    collar = (person.trousers[0] * 0.8 + 20, person.trousers[1] * 0.8 + 20, person.trousers[2] * 0.8 + 20)
    add(collar, (_at(0.0, 0.05, 1.475 + bob), 0.045), (_at(0.0, -0.05, 1.475 + bob), 0.045), bias=0.1)


def _head(add, person: Person, bob: float) -> None:  # type: ignore[no-untyped-def]
    add(person.skin, (_at(0.0, 0.0, 1.46 + bob), 0.055), (_at(0.01, 0.0, 1.55 + bob), 0.052))
    add(
        person.skin,
        (_at(0.015, 0.0, 1.655 + bob), 0.092),
        (_at(0.045, 0.0, 1.585 + bob), 0.062),
        bias=0.05,
    )
    blush = (person.skin[0] * 0.92, person.skin[1] * 0.92, person.skin[2])
    add(blush, (_at(0.105, 0.0, 1.64 + bob), 0.017), (_at(0.098, 0.0, 1.665 + bob), 0.012), bias=0.06)
    for side in (1.0, -1.0):
        add((28.0, 30.0, 34.0), (_at(0.088, 0.036 * side, 1.672 + bob), 0.011), bias=0.055)
        add(person.hair, (_at(0.09, 0.022 * side, 1.694 + bob), 0.007), (_at(0.08, 0.05 * side, 1.692 + bob), 0.007), bias=0.055)
        add(blush, (_at(-0.005, 0.093 * side, 1.64 + bob), 0.022), bias=0.06)
    if person.has_hood:
        add(
            person.jacket,
            (_at(-0.035, 0.0, 1.665 + bob), 0.112),
            (_at(-0.045, 0.0, 1.52 + bob), 0.10),
            weave=0.05,
            bias=0.02,
        )
    else:
        add(
            person.hair,
            (_at(-0.022, 0.0, 1.69 + bob), 0.095),
            (_at(0.03, 0.0, 1.728 + bob), 0.058),
            (_at(-0.05, 0.0, 1.62 + bob), 0.068),
            bias=0.03,
        )


def _hands(person: Person, stance: Stance, bob: float) -> tuple[Doubles, Doubles]:
    """Where the left and the right hand are: swinging, or on what is carried."""
    swing = 0.24 * stance.stride * math.sin(stance.phase_rad)
    left = _at(0.04 - swing, 0.25 * person.girth, 0.90 + bob + 0.3 * abs(swing))
    right = _at(0.04 + swing, -0.25 * person.girth, 0.90 + bob + 0.3 * abs(swing))
    sway = 0.015 * stance.stride * math.sin(2 * stance.phase_rad)
    match person.carried:
        case Carried.LONG_GUN if person.is_raised:
            right, left = _at(0.24, -0.13, 1.37 + bob + sway), _at(0.56, -0.06, 1.40 + bob + sway)
        case Carried.LONG_GUN:
            right, left = _at(0.22, -0.17, 1.05 + bob + sway), _at(0.50, -0.04, 1.12 + bob + sway)
        case Carried.HANDGUN if person.is_raised:
            right = _at(0.53, -0.10, 1.38 + bob + sway)
            left = _at(0.48, -0.04, 1.34 + bob + sway)
        case Carried.HANDGUN:
            right = _at(0.36, -0.22, 1.08 + bob + sway)
        case Carried.DRILL if person.is_raised:
            right = _at(0.34, -0.20, 1.12 + bob + sway)
        case Carried.PHONE if person.is_raised:
            right = _at(0.10, -0.13, 1.60 + bob)
        case Carried.PHONE:
            right = _at(0.32, -0.08, 1.25 + bob)
        case Carried.UMBRELLA:
            right = _at(0.20, -0.14, 1.22 + bob)
        case Carried.BROOM:
            right, left = _at(0.22, -0.20, 1.00 + bob + sway), _at(0.34, 0.04, 1.22 + bob + sway)
        case _:
            pass
    return left, right


def _prop(person: Person, frame: _Frame, hands: tuple[Doubles, Doubles], tag: int) -> list[Solid]:
    """The carried object, built around the right hand."""
    left, hand = hands
    solids: list[Solid] = []

    def put(along: Doubles, color: Color, *places: tuple[float, float, float], gloss: float = 0.0, bias: float = 0.05) -> None:
        """Adds a hull; places are (along, up, radius) in the object's own plane, from the hand."""
        ahead = along / np.linalg.norm(along)
        side = np.cross(_at(0.0, 0.0, 1.0), ahead)
        upward = np.cross(ahead, side)
        upward = upward / max(float(np.linalg.norm(upward)), 1e-6)
        spheres = tuple(frame.sphere(hand + ahead * a + upward * u, r) for a, u, r in places)
        mark = tag + WEAPON_TAG if person.carried.is_weapon else tag
        solids.append(Solid(spheres=spheres, color=color, tag=mark, gloss=gloss, bias_m=bias))

    color = person.prop_color
    dark: Color = (24.0, 24.0, 26.0)
    match person.carried:
        case Carried.LONG_GUN:
            along = (left - hand) + (_at(0.0, 0.0, 0.0) if person.is_raised else _at(0.0, 0.04, -0.02))
            put(along, color, (-0.06, 0.045, 0.034), (-0.34, 0.0, 0.038), (-0.36, 0.05, 0.03))
            put(along, dark, (-0.08, 0.05, 0.032), (0.26, 0.06, 0.030), gloss=0.3)
            put(along, color, (0.22, 0.055, 0.034), (0.44, 0.06, 0.030))
            put(along, dark, (0.40, 0.068, 0.015), (0.72, 0.07, 0.015), gloss=0.4)
            put(along, dark, (0.07, 0.03, 0.024), (0.11, -0.13, 0.024), (0.14, -0.12, 0.02))
            put(along, dark, (-0.02, 0.02, 0.024), (-0.05, -0.09, 0.024))
            put(along, dark, (0.02, 0.115, 0.022), (0.20, 0.118, 0.022), gloss=0.3)
        case Carried.HANDGUN:
            along = _at(1.0, 0.05, 0.0) if person.is_raised else _at(1.0, 0.1, -0.28)
            put(along, dark, (-0.05, 0.07, 0.028), (0.27, 0.075, 0.026), (0.27, 0.06, 0.02), gloss=0.4, bias=0.12)
            put(along, dark, (-0.01, 0.05, 0.028), (-0.045, -0.10, 0.030), (0.0, -0.09, 0.024), bias=0.12)
            put(along, dark, (0.09, 0.03, 0.016), (0.07, -0.005, 0.012), bias=0.12)
        case Carried.UMBRELLA:
            _umbrella(solids, frame, hand, color, tag)
        case Carried.CLOSED_UMBRELLA:
            put(_at(0.35, 0.0, -1.0), color, (0.02, 0.0, 0.02), (0.16, 0.0, 0.045), (0.66, 0.0, 0.012))
            put(_at(0.35, 0.0, -1.0), (40.0, 70.0, 110.0), (-0.12, 0.0, 0.016), (0.02, 0.0, 0.016))
        case Carried.PHONE:
            put(_at(0.4, 0.0, 1.0), (70.0, 60.0, 55.0), (0.0, 0.0, 0.03), (0.12, 0.0, 0.03), gloss=0.5)
        case Carried.BAG:
            down = _at(0.0, 0.0, -1.0)
            put(down, color, (0.10, -0.14, 0.045), (0.10, 0.14, 0.045), (0.36, -0.16, 0.05), (0.36, 0.16, 0.05))
            put(down, color, (0.0, 0.0, 0.014), (0.10, -0.07, 0.012), (0.10, 0.07, 0.012))
        case Carried.BROOM:
            along = left - hand
            put(along, (70.0, 130.0, 175.0), (-0.75, 0.0, 0.016), (0.62, 0.0, 0.016))
            put(along, color, (-0.78, 0.0, 0.05), (-0.92, -0.02, 0.09))
        case Carried.DRILL:
            along = _at(1.0, 0.1, -0.1) if person.is_raised else _at(0.5, 0.1, -1.0)
            put(along, color, (-0.07, 0.06, 0.05), (0.11, 0.065, 0.045))
            put(along, color, (-0.01, 0.03, 0.035), (-0.03, -0.10, 0.035))
            put(along, dark, (-0.06, -0.13, 0.04), (0.05, -0.13, 0.04))
            put(along, (150.0, 150.0, 150.0), (0.14, 0.065, 0.022), (0.24, 0.065, 0.010), gloss=0.5)
        case Carried.NOTHING:
            pass
    return solids


def _umbrella(solids: list[Solid], frame: _Frame, hand: Doubles, color: Color, tag: int) -> None:
    """An open umbrella: a shaft and six panels of a canopy."""
    top = hand + _at(0.0, 0.03, 0.95)
    shaft = (frame.sphere(hand + _at(0, 0, -0.08), 0.014), frame.sphere(top, 0.012))
    solids.append(Solid(spheres=shaft, color=(60.0, 60.0, 60.0), tag=tag, bias_m=0.05))
    ribs = 8
    for rib in range(ribs):
        turn, following = (2 * math.pi * (rib + k) / ribs for k in (0, 1))
        rim = [top + _at(0.55 * math.cos(t), 0.55 * math.sin(t), -0.26) for t in (turn, following)]
        waist = [top + _at(0.34 * math.cos(t), 0.34 * math.sin(t), -0.06) for t in (turn, following)]
        spheres = tuple(frame.sphere(point, 0.008) for point in (*rim, *waist, top))
        fade = 0.85 if rib % 2 else 1.0
        shade = (color[0] * fade, color[1] * fade, color[2] * fade)
        solids.append(Solid(spheres=spheres, color=shade, tag=tag, bias_m=0.02))
