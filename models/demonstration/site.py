"""Paints the yard in which the demonstration scene plays: paving, building, gate, fence, vans, lamp posts, sky.

A `Site` is the still picture behind the people, and the bollards that can stand before them. It is drawn once for a
seed and a light; flat textures are drawn face on and laid into the picture through the camera's own perspective.
"""

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from .painter import HEIGHT, WIDTH, Camera, Color, Doubles, Floats, Light, Solid, cast_shadows, paint

WALL_Z_M: Final = 14.0
FENCE_Z_M: Final = 16.0
GROUND_PX_PER_M: Final = 90
VAN_COLORS: Final[tuple[Color, ...]] = (
    (205.0, 208.0, 210.0),
    (150.0, 105.0, 55.0),
    (90.0, 92.0, 96.0),
    (60.0, 70.0, 150.0),
    (110.0, 150.0, 160.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A painted yard, ready for people."""

    picture: Floats
    camera: Camera
    light: Light
    furniture: tuple[Solid, ...]


def daylight(random: np.random.Generator) -> Light:
    """A sun behind the camera's left or right shoulder, of some strength and warmth."""
    bearing = random.uniform(-1.05, 1.05)
    climb = random.uniform(0.75, 1.05)
    toward = (math.sin(bearing) * math.cos(climb), math.sin(climb), -math.cos(bearing) * math.cos(climb))
    warmth = random.uniform(-0.05, 0.08)
    return Light(
        toward=toward,
        sun=float(random.uniform(0.45, 0.80)),
        sky=float(random.uniform(0.42, 0.58)),
        tint=(1.0 - warmth, 1.0, 1.0 + warmth),
    )


def build_site(seed: int) -> Site:
    """Paints one yard. The same seed paints the same yard, byte for byte."""
    random = np.random.default_rng(seed)
    camera = Camera()
    light = daylight(random)
    picture = _sky(random)
    _lay(picture, camera, _fence(random), _wall_corners(-12.0, 12.0, 0.0, 2.3, FENCE_Z_M))
    _lay(picture, camera, _paving(random), _ground_corners(-13.0, 13.0, 2.6, 18.0))
    _lay(picture, camera, _facade(random), _wall_corners(-7.4, 1.2, 0.0, 5.2, WALL_Z_M))
    _lay(picture, camera, _gate(random), _wall_corners(3.1, 6.3, 0.0, 2.5, FENCE_Z_M - 0.2))
    level = light.sky * 0.9 + light.sun * 0.75
    picture *= np.array(light.tint, np.float32) * np.float32(level)
    _contact_shade(picture, camera)
    for left, depth, mirrored in ((2.0, 12.0, False), (-6.9, 11.2, True)):
        chosen = VAN_COLORS[int(random.integers(len(VAN_COLORS)))]
        _van(picture, camera, light, (left + float(random.uniform(-0.3, 0.3)), depth), mirrored, chosen)
    posts = [_lamp_post(-2.9, 12.9), _lamp_post(6.9, 14.4)]
    parts = [solid for post in posts for solid in post]
    cast_shadows(picture, camera, light, parts)
    unused = np.zeros((HEIGHT, WIDTH), np.int16)
    for solid in parts:
        paint(picture, unused, camera, light, solid)
    softened = cv2.GaussianBlur(picture, (0, 0), 0.55)
    bollards = tuple(solid for x in (-4.2, 4.3) for solid in _bollard(x, 8.9))
    return Site(picture=np.asarray(softened, np.float32), camera=camera, light=light, furniture=bollards)


def _wall_corners(left: float, right: float, low: float, high: float, depth: float) -> Doubles:
    return np.array([[left, high, depth], [right, high, depth], [right, low, depth], [left, low, depth]])


def _ground_corners(left: float, right: float, near: float, far: float) -> Doubles:
    return np.array([[left, 0, far], [right, 0, far], [right, 0, near], [left, 0, near]], dtype=np.float64)


def _lay(picture: Floats, camera: Camera, texture: Floats, corners_m: Doubles) -> None:
    """Lays a flat `(h, w, 4)` texture (BGR and cover 0..1) into the picture, smoothed by double size."""
    scale = np.diag([2.0, 2.0, 1.0])
    matrix = scale @ camera.homography(corners_m, (texture.shape[1], texture.shape[0]))
    laid = cv2.warpPerspective(texture, matrix, (WIDTH * 2, HEIGHT * 2), flags=cv2.INTER_AREA)
    laid = cv2.resize(laid, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    cover = laid[..., 3:4]
    picture *= 1.0 - cover
    picture += laid[..., :3]


def _covered(color: Floats, cover: Floats | None = None) -> Floats:
    """Adds the cover plane to a texture; color is stored multiplied by it, so that edges blend."""
    plane = np.ones(color.shape[:2], np.float32) if cover is None else cover
    return np.dstack([color * plane[..., None], plane]).astype(np.float32)


def _cloud(random: np.random.Generator, height: int, width: int, grain: int) -> Floats:
    """Smooth random values about zero."""
    small = random.normal(0.0, 1.0, (max(height // grain, 2), max(width // grain, 2))).astype(np.float32)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _sky(random: np.random.Generator) -> Floats:
    rise = np.linspace(0.0, 1.0, HEIGHT, dtype=np.float32)[:, None, None]
    top, low = np.array([214, 186, 150], np.float32), np.array([232, 226, 216], np.float32)
    sky = top + (low - top) * np.clip(rise * 4.5, 0, 1)
    sky = np.repeat(sky, WIDTH, axis=1)
    sky += (7.0 * _cloud(random, HEIGHT, WIDTH, 90) + 3.0 * _cloud(random, HEIGHT, WIDTH, 40))[..., None]
    trees = 118.0 + 10.0 * _cloud(random, 1, WIDTH, 30)[0] + 5.0 * _cloud(random, 1, WIDTH, 9)[0]
    below = np.arange(HEIGHT, dtype=np.float32)[:, None] > trees[None, :]
    leaves = np.array([70, 98, 84], np.float32) + 9.0 * _cloud(random, HEIGHT, WIDTH, 7)[..., None]
    return np.where(below[..., None], leaves, sky).astype(np.float32)


def _paving(random: np.random.Generator) -> Floats:
    width, height = 26 * GROUND_PX_PER_M, int(15.4 * GROUND_PX_PER_M)
    slab = 72
    tone = random.normal(0.0, 5.0, (height // slab + 2, width // slab + 2)).astype(np.float32)
    rows, columns = np.arange(height) // slab, np.arange(width)
    picture = np.zeros((height, width, 3), np.float32)
    for row in np.unique(rows):
        shift = (slab // 2) * (row % 2)
        picture[rows == row] = (142.0 + tone[row][(columns + shift) // slab])[None, :, None]
        joint = (columns + shift) % slab < 3
        picture[np.ix_(rows == row, joint)] -= 30.0
    picture[np.arange(height) % slab < 3] -= 28.0
    picture += (6.0 * _cloud(random, height, width, 260) + 2.5 * _cloud(random, height, width, 24))[..., None]
    picture += random.normal(0.0, 2.0, (height, width, 1)).astype(np.float32)
    picture *= np.array([0.97, 1.0, 1.03], np.float32)
    for _ in range(9):
        center = (int(random.integers(width)), int(random.integers(height)))
        stain = np.zeros((height, width), np.float32)
        axes = (int(random.integers(25, 90)), int(random.integers(15, 60)))
        cv2.ellipse(stain, center, axes, float(random.uniform(0, 180)), 0, 360, 1.0, -1)
        picture -= (13.0 * cv2.blur(stain, (41, 41)))[..., None]
    _bay_lines(picture)
    return _covered(picture)


def _bay_lines(picture: Floats) -> None:
    """Worn parking lines beside the vans and a yellow walkway across the yard."""
    height = picture.shape[0]
    for x_m in (-8.6, -5.6, 1.7, 7.3):
        x = int((x_m + 13.0) * GROUND_PX_PER_M)
        top, low = height - int((13.4 - 2.6) * GROUND_PX_PER_M), height - int((10.3 - 2.6) * GROUND_PX_PER_M)
        picture[top:low, x : x + 9] = picture[top:low, x : x + 9] * 0.35 + 140.0
    for z_m in (8.3, 9.5):
        y = height - int((z_m - 2.6) * GROUND_PX_PER_M)
        band = picture[y : y + 9]
        band[...] = band * 0.45 + np.array([30.0, 95.0, 110.0], np.float32)


def _facade(random: np.random.Generator) -> Floats:
    height, width = 520, 860
    picture = np.zeros((height, width, 3), np.float32)
    picture[...] = np.array([112.0, 128.0, 158.0], np.float32)
    course, brick = 10, 26
    tone = random.normal(0.0, 9.0, (height // course + 1, width // brick + 3)).astype(np.float32)
    for row in range(height // course):
        shift = (brick // 2) * (row % 2)
        columns = (np.arange(width) + shift) // brick
        picture[row * course : (row + 1) * course] += tone[row][columns][None, :, None]
        picture[row * course] += 22.0
    picture += 4.0 * _cloud(random, height, width, 80)[..., None]
    cv2.rectangle(picture, (0, 0), (width, 34), (96, 96, 98), -1)
    cv2.rectangle(picture, (0, 470), (width, height), (118, 120, 122), -1)
    for x in (60, 215, 640):
        _window(picture, x, 120)
    _roller_door(picture, 390)
    cv2.rectangle(picture, (395, 110), (585, 160), (120, 88, 40), -1)
    sign = np.zeros((height, width), np.uint8)
    cv2.putText(sign, "GOODS IN", (409, 147), cv2.FONT_HERSHEY_DUPLEX, 1.05, 235, 2, cv2.LINE_AA)
    picture = np.maximum(picture, sign[..., None].astype(np.float32))
    cv2.rectangle(picture, (660, 300), (760, 520), (70, 84, 66), -1)
    cv2.rectangle(picture, (660, 300), (760, 520), (44, 50, 44), 4)
    cv2.rectangle(picture, (682, 325), (738, 395), (158, 146, 128), -1)
    cv2.circle(picture, (746, 425), 5, (190, 190, 190), -1, cv2.LINE_AA)
    cv2.rectangle(picture, (806, 34), (818, 520), (92, 94, 96), -1)
    return _covered(picture)


def _window(picture: Floats, x: int, y: int) -> None:
    cv2.rectangle(picture, (x - 7, y - 7), (x + 117, y + 147), (214, 216, 216), -1)
    for row in range(140):
        glass = 96.0 + 62.0 * (1.0 - row / 140.0)
        picture[y + row, x : x + 110] = (glass * 1.08, glass, glass * 0.9)
    cv2.fillPoly(picture, [np.array([[x + 10, y + 140], [x + 60, y], [x + 86, y], [x + 36, y + 140]])], (178, 172, 160))
    cv2.line(picture, (x + 55, y), (x + 55, y + 140), (214, 216, 216), 6)
    cv2.line(picture, (x, y + 60), (x + 110, y + 60), (214, 216, 216), 6)
    cv2.rectangle(picture, (x - 14, y + 147), (x + 124, y + 157), (176, 178, 178), -1)


def _roller_door(picture: Floats, x: int) -> None:
    cv2.rectangle(picture, (x - 12, 168), (x + 212, 520), (82, 84, 88), -1)
    for row in range(180, 520):
        wave = 12.0 * math.sin(2 * math.pi * (row - 180) / 17.0)
        picture[row, x : x + 200] = (150.0 + wave, 152.0 + wave, 150.0 + wave)
    cv2.rectangle(picture, (x, 500), (x + 200, 520), (40, 170, 210), -1)
    for stripe in range(x, x + 200, 40):
        cv2.fillPoly(
            picture,
            [np.array([[stripe, 520], [stripe + 20, 500], [stripe + 38, 500], [stripe + 18, 520]])],
            (36, 36, 36),
        )


def _fence(random: np.random.Generator) -> Floats:
    height, width = 230, 2400
    cover = np.zeros((height, width), np.float32)
    for start in range(-height, width, 14):
        cv2.line(cover, (start, height), (start + height, 0), 0.55, 1, cv2.LINE_AA)
        cv2.line(cover, (start, 0), (start + height, height), 0.55, 1, cv2.LINE_AA)
    for x in range(20, width, 250):
        cv2.rectangle(cover, (x, 0), (x + 10, height), 1.0, -1)
    cv2.rectangle(cover, (0, 0), (width, 6), 1.0, -1)
    color = np.full((height, width, 3), 128.0, np.float32) + 5.0 * _cloud(random, height, width, 60)[..., None]
    return _covered(color, cover)


def _gate(random: np.random.Generator) -> Floats:
    height, width = 250, 320
    cover = np.zeros((height, width), np.float32)
    for x in range(0, width, 16):
        cv2.rectangle(cover, (x, 20), (x + 6, height - 12), 1.0, -1)
    for y in (14, 120, height - 22):
        cv2.rectangle(cover, (0, y), (width, y + 12), 1.0, -1)
    for x in (0, width // 2 - 8, width - 16):
        cv2.rectangle(cover, (x, 0), (x + 16, height), 1.0, -1)
    color = np.zeros((height, width, 3), np.float32) + np.array([70.0, 92.0, 60.0], np.float32)
    return _covered(color + 4.0 * _cloud(random, height, width, 40)[..., None], cover)


def _contact_shade(picture: Floats, camera: Camera) -> None:
    """Darkens the foot of the building and of the yard's far edge, where little sky reaches."""
    for left, right, depth in ((-7.4, 1.2, WALL_Z_M), (-12.0, 12.0, FENCE_Z_M)):
        mask = np.zeros((HEIGHT, WIDTH), np.float32)
        strip = camera.project(_ground_corners(left, right, depth - 0.7, depth))[:, :2]
        cv2.fillPoly(mask, [np.round(strip).astype(np.int32)], 1.0)
        picture *= 1.0 - 0.35 * cv2.GaussianBlur(mask, (0, 0), 5)[..., None]


def _van(
    picture: Floats, camera: Camera, light: Light, place: tuple[float, float], mirrored: bool, color: Color
) -> None:
    left, depth = place
    ground = np.zeros((HEIGHT, WIDTH), np.float32)
    drop = light.toward
    reach_x, reach_z = -drop[0] / drop[1] * 2.0, -drop[2] / drop[1] * 2.0
    corners = [(left, depth), (left + 4.9, depth), (left + 4.9, depth + 1.9), (left, depth + 1.9)]
    shadow = [(x, 0.0, z) for x, z in corners] + [(x + reach_x, 0.0, z + reach_z) for x, z in corners]
    flat = camera.project(np.array(shadow, dtype=np.float64))[:, :2].astype(np.float32)
    cv2.fillConvexPoly(ground, np.round(cv2.convexHull(flat)).astype(np.int32), 1.0, cv2.LINE_AA)
    picture *= 1.0 - 0.5 * cv2.GaussianBlur(ground, (0, 0), 2.5)[..., None]
    level = light.sky + light.sun * max(0.25, -drop[2])
    side = _van_side(color)
    side[..., :3] *= np.float32(level)
    if mirrored:
        side = np.ascontiguousarray(side[:, ::-1])
    _lay(picture, camera, side, _wall_corners(left, left + 4.9, 0.0, 2.15, depth))


def _van_side(color: Color) -> Floats:
    height, width = 430, 980
    picture = np.zeros((height, width, 3), np.float32)
    cover = np.zeros((height, width), np.float32)
    shell = np.array(
        [[14, 360], [14, 60], [40, 22], [640, 16], [720, 40], [820, 160], [945, 205], [968, 250], [968, 360]], np.int32
    )
    cv2.fillPoly(cover, [shell], 1.0, cv2.LINE_AA)
    fade = np.linspace(1.12, 0.72, height, dtype=np.float32)[:, None, None]
    picture[...] = np.array(color, np.float32) * fade
    cv2.fillPoly(picture, [np.array([[660, 60], [706, 60], [790, 165], [660, 165]])], (72, 62, 52), cv2.LINE_AA)
    cv2.fillPoly(picture, [np.array([[722, 62], [736, 74], [808, 165], [800, 165]])], (90, 80, 70), cv2.LINE_AA)
    for x in (345, 640):
        cv2.line(picture, (x, 40), (x, 345), (color[0] * 0.6, color[1] * 0.6, color[2] * 0.6), 3)
    cv2.rectangle(picture, (14, 232), (968, 246), (color[0] * 0.72, color[1] * 0.72, color[2] * 0.72), -1)
    cv2.rectangle(picture, (14, 330), (968, 360), (48, 48, 50), -1)
    cv2.ellipse(picture, (948, 262), (20, 26), 0, 0, 360, (215, 225, 228), -1, cv2.LINE_AA)
    cv2.rectangle(picture, (14, 210), (28, 300), (40, 40, 170), -1)
    for x in (205, 790):
        cv2.circle(picture, (x, 352), 84, (30, 30, 32), -1, cv2.LINE_AA)
        cv2.circle(cover, (x, 358), 70, 1.0, -1, cv2.LINE_AA)
        cv2.circle(picture, (x, 358), 70, (38, 38, 40), -1, cv2.LINE_AA)
        cv2.circle(picture, (x, 358), 40, (150, 150, 152), -1, cv2.LINE_AA)
        cv2.circle(picture, (x, 358), 14, (80, 80, 82), -1, cv2.LINE_AA)
    return _covered(picture, cover)


def _lamp_post(x: float, z: float) -> list[Solid]:
    steel: Color = (96.0, 100.0, 98.0)
    return [
        Solid(spheres=(((x, 0.0, z), 0.09), ((x, 4.6, z), 0.055)), color=steel, gloss=0.2),
        Solid(spheres=(((x, 4.6, z), 0.05), ((x + 0.9, 4.75, z - 0.2), 0.04)), color=steel),
        Solid(
            spheres=(((x + 0.7, 4.72, z - 0.2), 0.08), ((x + 1.1, 4.72, z - 0.2), 0.07)), color=(190.0, 200.0, 205.0)
        ),
    ]


def _bollard(x: float, z: float) -> list[Solid]:
    yellow: Color = (50.0, 175.0, 205.0)
    return [
        Solid(spheres=(((x, 0.02, z), 0.085), ((x, 0.92, z), 0.085)), color=yellow, gloss=0.15),
        Solid(spheres=(((x, 0.55, z), 0.088), ((x, 0.68, z), 0.088)), color=(36.0, 36.0, 38.0), bias_m=0.02),
    ]
