"""Builds what the people of the demonstration scene carry: weapon-like objects and harmless look-alikes.

They are built side by side, so that anyone can judge what the detector is asked to tell apart. Nothing here is a
likeness of a real make.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from .painter import Color, Doubles, Point, Solid, Sphere

DARK: Final[Color] = (24.0, 24.0, 26.0)
STEEL: Final[Color] = (150.0, 150.0, 150.0)
BROOMSTICK: Final[Color] = (70.0, 130.0, 175.0)
HANDLE: Final[Color] = (40.0, 70.0, 110.0)
PHONE_CASE: Final[Color] = (70.0, 60.0, 55.0)
RIBS: Final = 8


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


class BodyFrame:
    """Turns body coordinates (forward, left, up), in meters, into world points."""

    def __init__(self, x_m: float, z_m: float, heading_rad: float, scale: float) -> None:
        self.forward = np.array([math.sin(heading_rad), 0.0, math.cos(heading_rad)])
        self.left = np.array([-math.cos(heading_rad), 0.0, math.sin(heading_rad)])
        self.origin = np.array([x_m, 0.0, z_m])
        self.scale = scale

    def world(self, point: Doubles) -> Point:
        """A point of the body, in the world."""
        placed = self.origin + self.scale * (
            self.forward * point[0] + self.left * point[1] + np.array([0.0, 1.0, 0.0]) * point[2]
        )
        return (float(placed[0]), float(placed[1]), float(placed[2]))

    def sphere(self, point: Doubles, radius: float) -> Sphere:
        """A sphere of the body, in the world."""
        return (self.world(point), radius * self.scale)


def at(forward: float, left: float, up: float) -> Doubles:
    """A place in body coordinates."""
    return np.array([forward, left, up], dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prop:
    """Where an object is held, and how it looks."""

    frame: BodyFrame
    left_hand: Doubles
    hand: Doubles
    color: Color
    is_raised: bool
    tag: int

    def hull(
        self,
        along: Doubles,
        color: Color,
        *places: tuple[float, float, float],
        gloss: float = 0.0,
        bias: float = 0.05,
    ) -> Solid:
        """One hull; places are (along, up, radius) in the object's own plane, from the right hand."""
        ahead = along / np.linalg.norm(along)
        upward = np.cross(ahead, np.cross(at(0.0, 0.0, 1.0), ahead))
        upward = upward / max(float(np.linalg.norm(upward)), 1e-6)
        spheres = tuple(self.frame.sphere(self.hand + ahead * a + upward * u, r) for a, u, r in places)
        return Solid(spheres=spheres, color=color, tag=self.tag, gloss=gloss, bias_m=bias)


def build(carried: Carried, prop: Prop) -> list[Solid]:
    """The solids of one carried object; none for empty hands."""
    builder = BUILDERS.get(carried)
    return [] if builder is None else builder(prop)


def _long_gun(prop: Prop) -> list[Solid]:
    along = prop.left_hand - prop.hand + (at(0.0, 0.0, 0.0) if prop.is_raised else at(0.0, 0.04, -0.02))
    stock = prop.hull(along, prop.color, (-0.06, 0.045, 0.034), (-0.34, 0.0, 0.038), (-0.36, 0.05, 0.03))
    receiver = prop.hull(along, DARK, (-0.08, 0.05, 0.032), (0.26, 0.06, 0.030), gloss=0.3)
    guard = prop.hull(along, prop.color, (0.22, 0.055, 0.034), (0.44, 0.06, 0.030))
    barrel = prop.hull(along, DARK, (0.40, 0.068, 0.015), (0.72, 0.07, 0.015), gloss=0.4)
    magazine = prop.hull(along, DARK, (0.07, 0.03, 0.024), (0.11, -0.13, 0.024), (0.14, -0.12, 0.02))
    grip = prop.hull(along, DARK, (-0.02, 0.02, 0.024), (-0.05, -0.09, 0.024))
    sight = prop.hull(along, DARK, (0.02, 0.115, 0.022), (0.20, 0.118, 0.022), gloss=0.3)
    return [stock, receiver, guard, barrel, magazine, grip, sight]


def _handgun(prop: Prop) -> list[Solid]:
    """Half as long again as a real one: the camera's picture is small."""
    along = at(1.0, 0.05, 0.0) if prop.is_raised else at(1.0, 0.1, -0.28)
    slide = prop.hull(along, DARK, (-0.05, 0.07, 0.028), (0.27, 0.075, 0.026), (0.27, 0.06, 0.02), gloss=0.4, bias=0.12)
    grip = prop.hull(along, DARK, (-0.01, 0.05, 0.028), (-0.045, -0.10, 0.030), (0.0, -0.09, 0.024), bias=0.12)
    trigger = prop.hull(along, DARK, (0.09, 0.03, 0.016), (0.07, -0.005, 0.012), bias=0.12)
    return [slide, grip, trigger]


def _bag(prop: Prop) -> list[Solid]:
    down = at(0.0, 0.0, -1.0)
    return [
        prop.hull(down, prop.color, (0.10, -0.14, 0.045), (0.10, 0.14, 0.045), (0.36, -0.16, 0.05), (0.36, 0.16, 0.05)),
        prop.hull(down, prop.color, (0.0, 0.0, 0.014), (0.10, -0.07, 0.012), (0.10, 0.07, 0.012)),
    ]


def _drill(prop: Prop) -> list[Solid]:
    """The nearest look-alike: a grip, a body and a muzzle, held out like a handgun."""
    along = at(1.0, 0.1, -0.1) if prop.is_raised else at(0.5, 0.1, -1.0)
    return [
        prop.hull(along, prop.color, (-0.07, 0.06, 0.05), (0.11, 0.065, 0.045)),
        prop.hull(along, prop.color, (-0.01, 0.03, 0.035), (-0.03, -0.10, 0.035)),
        prop.hull(along, DARK, (-0.06, -0.13, 0.04), (0.05, -0.13, 0.04)),
        prop.hull(along, STEEL, (0.14, 0.065, 0.022), (0.24, 0.065, 0.010), gloss=0.5),
    ]


def _umbrella(prop: Prop) -> list[Solid]:
    """An open umbrella: a shaft, and a canopy of panels in two shades."""
    top = prop.hand + at(0.0, 0.03, 0.95)
    shaft = (prop.frame.sphere(prop.hand + at(0, 0, -0.08), 0.014), prop.frame.sphere(top, 0.012))
    solids = [Solid(spheres=shaft, color=(60.0, 60.0, 60.0), tag=prop.tag, bias_m=0.05)]
    for rib in range(RIBS):
        turns = [2 * math.pi * (rib + step) / RIBS for step in (0, 1)]
        rim = [top + at(0.55 * math.cos(t), 0.55 * math.sin(t), -0.26) for t in turns]
        waist = [top + at(0.34 * math.cos(t), 0.34 * math.sin(t), -0.06) for t in turns]
        spheres = tuple(prop.frame.sphere(point, 0.008) for point in (*rim, *waist, top))
        fade = 0.85 if rib % 2 else 1.0
        color = (prop.color[0] * fade, prop.color[1] * fade, prop.color[2] * fade)
        solids.append(Solid(spheres=spheres, color=color, tag=prop.tag, bias_m=0.02))
    return solids


def _closed_umbrella(prop: Prop) -> list[Solid]:
    down = at(0.35, 0.0, -1.0)
    return [
        prop.hull(down, prop.color, (0.02, 0.0, 0.02), (0.16, 0.0, 0.045), (0.66, 0.0, 0.012)),
        prop.hull(down, HANDLE, (-0.12, 0.0, 0.016), (0.02, 0.0, 0.016)),
    ]


def _phone(prop: Prop) -> list[Solid]:
    return [prop.hull(at(0.4, 0.0, 1.0), PHONE_CASE, (0.0, 0.0, 0.03), (0.12, 0.0, 0.03), gloss=0.5)]


def _broom(prop: Prop) -> list[Solid]:
    """The look-alike of a long gun: a stick across the body, in both hands."""
    along = prop.left_hand - prop.hand
    return [
        prop.hull(along, BROOMSTICK, (-0.75, 0.0, 0.016), (0.62, 0.0, 0.016)),
        prop.hull(along, prop.color, (-0.78, 0.0, 0.05), (-0.92, -0.02, 0.09)),
    ]


BUILDERS: Final[dict[Carried, Callable[[Prop], list[Solid]]]] = {
    Carried.LONG_GUN: _long_gun,
    Carried.HANDGUN: _handgun,
    Carried.UMBRELLA: _umbrella,
    Carried.CLOSED_UMBRELLA: _closed_umbrella,
    Carried.PHONE: _phone,
    Carried.BAG: _bag,
    Carried.BROOM: _broom,
    Carried.DRILL: _drill,
}
