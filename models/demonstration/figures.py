"""Builds the people of the demonstration scene out of `painter.Solid`s.

A `Person` says who walks and what it carries; `body` gives the solids of one instant. What is in the hands is built in
`carried.py`. Lengths are in meters for a height of 1.75 m, scaled afterwards.
"""

import math
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from .carried import BodyFrame, Carried, Prop, at, build
from .painter import Color, Doubles, Solid

WEAPON_TAG: Final = 1
TAGS_PER_PERSON: Final = 2


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


class AddHull(Protocol):
    """Adds one hull of spheres, given in body coordinates, to the body being built."""

    def __call__(self, color: Color, *spheres: tuple[Doubles, float], weave: float = 0.0, bias: float = 0.0) -> None:
        """Adds it."""


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
    frame = BodyFrame(stance.x_m, stance.z_m, stance.heading_rad, person.stature_m / 1.75)
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
        shoulder = at(-0.01, 0.20 * side * person.girth, 1.40 + bob)
        elbow = _joint(shoulder, hand, 0.29, 0.27, at(-0.6, 0.35 * side, -0.7))
        add(person.jacket, (shoulder, 0.068 * person.girth), (elbow, 0.052), weave=0.07)
        add(person.jacket, (elbow, 0.051), (hand * 0.86 + elbow * 0.14, 0.038), weave=0.05)
        add(person.skin, (hand, 0.044), (hand * 1.12 - elbow * 0.12, 0.036))
    mark = tag + WEAPON_TAG if person.carried.is_weapon else tag
    prop = Prop(
        frame=frame, left_hand=hands[0], hand=hands[1], color=person.prop_color, is_raised=person.is_raised, tag=mark
    )
    solids.extend(build(person.carried, prop))
    return solids


def _leg(add: AddHull, person: Person, stance: Stance, side: float, bob: float) -> None:
    phase = stance.phase_rad + (0.0 if side > 0 else math.pi)
    swing = 0.30 * stance.stride * math.sin(phase)
    lift = 0.11 * stance.stride * max(0.0, math.cos(phase)) ** 1.5
    hip = at(0.0, 0.095 * side, 0.93 + bob)
    ankle = at(swing * 1.05, 0.09 * side, 0.085 + lift)
    knee = _joint(hip, ankle, 0.44, 0.43, at(1.0, 0.05 * side, 0.15))
    add(person.trousers, (hip, 0.098 * person.girth), (knee, 0.066), weave=0.06)
    add(person.trousers, (knee, 0.065), (ankle, 0.052), weave=0.08)
    tilt = 0.07 * stance.stride * math.sin(phase) if lift < 0.02 else -0.05 * stance.stride
    toe = ankle + at(0.17, 0.015 * side, -0.045 + tilt)
    add(person.shoes, (ankle + at(-0.045, 0.0, -0.045), 0.042), (toe, 0.033), (ankle + at(0.02, 0, 0), 0.045))


def _torso(add: AddHull, person: Person, stance: Stance, bob: float) -> None:
    girth = person.girth
    twist = 0.03 * stance.stride * math.sin(stance.phase_rad)
    hem = 0.70 if person.has_skirted_coat else 0.90
    add(
        person.jacket,
        (at(-0.01 - twist, 0.15 * girth, 1.42 + bob), 0.075),
        (at(-0.01 + twist, -0.15 * girth, 1.42 + bob), 0.075),
        (at(0.02, 0.10 * girth, 1.22 + bob), 0.118 * girth),
        (at(0.02, -0.10 * girth, 1.22 + bob), 0.118 * girth),
        (at(0.0, 0.085 * girth, hem + bob), 0.105 * girth),
        (at(0.0, -0.085 * girth, hem + bob), 0.105 * girth),
        weave=0.05,
        bias=0.09,
    )
    collar = (person.trousers[0] * 0.8 + 20, person.trousers[1] * 0.8 + 20, person.trousers[2] * 0.8 + 20)
    add(collar, (at(0.0, 0.05, 1.475 + bob), 0.045), (at(0.0, -0.05, 1.475 + bob), 0.045), bias=0.1)


def _head(add: AddHull, person: Person, bob: float) -> None:
    add(person.skin, (at(0.0, 0.0, 1.46 + bob), 0.055), (at(0.01, 0.0, 1.55 + bob), 0.052))
    add(
        person.skin,
        (at(0.015, 0.0, 1.655 + bob), 0.092),
        (at(0.045, 0.0, 1.585 + bob), 0.062),
        bias=0.05,
    )
    blush = (person.skin[0] * 0.92, person.skin[1] * 0.92, person.skin[2])
    add(blush, (at(0.105, 0.0, 1.64 + bob), 0.017), (at(0.098, 0.0, 1.665 + bob), 0.012), bias=0.06)
    for side in (1.0, -1.0):
        add((28.0, 30.0, 34.0), (at(0.088, 0.036 * side, 1.672 + bob), 0.011), bias=0.055)
        add(
            person.hair,
            (at(0.09, 0.022 * side, 1.694 + bob), 0.007),
            (at(0.08, 0.05 * side, 1.692 + bob), 0.007),
            bias=0.055,
        )
        add(blush, (at(-0.005, 0.093 * side, 1.64 + bob), 0.022), bias=0.06)
    if person.has_hood:
        add(
            person.jacket,
            (at(-0.035, 0.0, 1.665 + bob), 0.112),
            (at(-0.045, 0.0, 1.52 + bob), 0.10),
            weave=0.05,
            bias=0.02,
        )
    else:
        add(
            person.hair,
            (at(-0.022, 0.0, 1.69 + bob), 0.095),
            (at(0.03, 0.0, 1.728 + bob), 0.058),
            (at(-0.05, 0.0, 1.62 + bob), 0.068),
            bias=0.03,
        )


def _hands(person: Person, stance: Stance, bob: float) -> tuple[Doubles, Doubles]:
    """Where the left and the right hand are: swinging, or on what is carried."""
    swing = 0.24 * stance.stride * math.sin(stance.phase_rad)
    left = at(0.04 - swing, 0.25 * person.girth, 0.90 + bob + 0.3 * abs(swing))
    right = at(0.04 + swing, -0.25 * person.girth, 0.90 + bob + 0.3 * abs(swing))
    sway = 0.015 * stance.stride * math.sin(2 * stance.phase_rad)
    match person.carried:
        case Carried.LONG_GUN if person.is_raised:
            right, left = at(0.24, -0.13, 1.37 + bob + sway), at(0.56, -0.06, 1.40 + bob + sway)
        case Carried.LONG_GUN:
            right, left = at(0.22, -0.17, 1.05 + bob + sway), at(0.50, -0.04, 1.12 + bob + sway)
        case Carried.HANDGUN if person.is_raised:
            right = at(0.53, -0.10, 1.38 + bob + sway)
            left = at(0.48, -0.04, 1.34 + bob + sway)
        case Carried.HANDGUN:
            right = at(0.36, -0.22, 1.08 + bob + sway)
        case Carried.DRILL if person.is_raised:
            right = at(0.34, -0.20, 1.12 + bob + sway)
        case Carried.PHONE if person.is_raised:
            right = at(0.10, -0.13, 1.60 + bob)
        case Carried.PHONE:
            right = at(0.32, -0.08, 1.25 + bob)
        case Carried.UMBRELLA:
            right = at(0.20, -0.14, 1.22 + bob)
        case Carried.BROOM:
            right, left = at(0.22, -0.20, 1.00 + bob + sway), at(0.34, 0.04, 1.22 + bob + sway)
        case _:
            pass
    return left, right
