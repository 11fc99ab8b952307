"""Projects solid shapes through a pinhole camera and paints them with light, shade and cast shadow.

Everything that moves in the demonstration scene is a `Solid`: the convex hull of a few spheres in meters. A limb is
two spheres, a torso four, a rifle barrel two very small ones. That one primitive gives outline, depth order, rounded
shading and the shadow on the ground. It draws pictures and nothing else; `figures.py` says what the solids are.

World axes: x to the right, y up, z away from the camera; the ground is y = 0. Pictures are `(H, W, 3) float32, BGR`.
"""

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int16]
Point = tuple[float, float, float]
Sphere = tuple[Point, float]
Color = tuple[float, float, float]

WIDTH: Final = 1280
HEIGHT: Final = 720
NEAREST_M: Final = 0.5
CIRCLE: Final = np.stack([np.cos(np.arange(14) * 2 * math.pi / 14), np.sin(np.arange(14) * 2 * math.pi / 14)], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A fixed pinhole camera above the yard, pitched down."""

    height_m: float = 2.6
    pitch_rad: float = math.radians(10.0)
    focal_px: float = 1100.0

    def project(self, points: Doubles) -> Doubles:
        """Image positions and depth of world points. *Shapes*: `(N, 3)` meters to `(N, 3)` as (x px, y px, depth m)."""
        sine, cosine = math.sin(self.pitch_rad), math.cos(self.pitch_rad)
        down = self.height_m - points[:, 1]
        depth = np.maximum(points[:, 2] * cosine + down * sine, NEAREST_M)
        drop = down * cosine - points[:, 2] * sine
        return np.stack(
            [
                WIDTH / 2 + self.focal_px * points[:, 0] / depth,
                HEIGHT / 2 + self.focal_px * drop / depth,
                depth,
            ],
            axis=1,
        )

    def homography(self, corners_m: Doubles, size_px: tuple[int, int]) -> Doubles:
        """The 3x3 map from a flat texture to the image; corners run clockwise from the texture's top left."""
        width, height = size_px
        source = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
        target = self.project(corners_m)[:, :2].astype(np.float32)
        return np.asarray(cv2.getPerspectiveTransform(source, target), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """One sun and one sky. `toward` points from the scene to the sun."""

    toward: Point
    sun: float
    sky: float
    tint: Color

    def shadow_of(self, point: Point, radius_m: float) -> tuple[Point, float]:
        """Where a sphere's shadow falls on the ground, and its radius there."""
        x, y, z = point
        sx, sy, sz = self.toward
        return (x - sx / sy * y, 0.0, z - sz / sy * y), radius_m


@dataclass(frozen=True, slots=True, kw_only=True)
class Solid:
    """The convex hull of some spheres, of one color. `tag` marks its pixels, for the ground truth."""

    spheres: tuple[Sphere, ...]
    color: Color
    tag: int = 0
    gloss: float = 0.0
    weave: float = 0.0
    bias_m: float = 0.0

    def depth_m(self, camera: Camera) -> float:
        """Painting order: the mean depth, less what is known to lie in front."""
        centers = np.array([center for center, _ in self.spheres], dtype=np.float64)
        return float(camera.project(centers)[:, 2].mean()) - self.bias_m


def outline(camera: Camera, spheres: tuple[Sphere, ...]) -> npt.NDArray[np.float32]:
    """The image polygon of a hull of spheres. *Shapes*: `(N, 2)` pixels."""
    centers = camera.project(np.array([center for center, _ in spheres], dtype=np.float64))
    radii = np.array([radius for _, radius in spheres]) * camera.focal_px / centers[:, 2]
    points = centers[:, None, :2] + CIRCLE[None, :, :] * radii[:, None, None]
    return np.asarray(cv2.convexHull(points.reshape(-1, 2).astype(np.float32)), dtype=np.float32).reshape(-1, 2)


def paint(picture: Floats, labels: Labels, camera: Camera, light: Light, solid: Solid) -> int:
    """Paints one solid over what is there, and its tag into `labels`. Returns how many pixels it covers alone."""
    hull = outline(camera, solid.spheres)
    left, top = np.floor(hull.min(axis=0)).astype(int) - 2
    right, bottom = np.ceil(hull.max(axis=0)).astype(int) + 3
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, WIDTH), min(bottom, HEIGHT)
    if x1 - x0 < 1 or y1 - y0 < 1:
        return 0
    scale = 2  # drawn at twice the size, then averaged: smooth edges
    patch = np.zeros(((y1 - y0) * scale, (x1 - x0) * scale), np.uint8)
    moved = np.round((hull - (x0, y0)) * scale * 16).astype(np.int32)
    cv2.fillConvexPoly(patch, moved, 255, lineType=cv2.LINE_AA, shift=4)
    if not patch.any():
        return 0
    cover = cv2.resize(patch, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    color = _shade(patch, (x1 - x0, y1 - y0), light, solid)
    window = picture[y0:y1, x0:x1]
    window += (color - window) * cover[..., None]
    solid_pixels = cover > 0.5
    labels[y0:y1, x0:x1][solid_pixels] = solid.tag
    return int(solid_pixels.sum())


def _shade(patch: npt.NDArray[np.uint8], size: tuple[int, int], light: Light, solid: Solid) -> Floats:
    """Color of each pixel of a hull, as if the outline were inflated into a rounded body."""
    inside = cv2.distanceTransform(cv2.copyMakeBorder(patch, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 3)
    inside = cv2.resize(inside[1:-1, 1:-1], size, interpolation=cv2.INTER_AREA)
    radius = max(float(inside.max()), 1.0)
    rise = np.clip(inside / radius, 0.0, 1.0)
    height = np.sqrt(np.maximum(1.0 - (1.0 - rise) ** 2, 0.0)) * radius * 0.5
    height = cv2.GaussianBlur(height, (0, 0), max(radius * 0.06, 0.6))
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3) / 8.0
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3) / 8.0
    length = np.sqrt(slope_x**2 + slope_y**2 + 1.0)
    normal_x, normal_y, normal_z = -slope_x / length, slope_y / length, 1.0 / length
    sun_x, sun_y, sun_z = light.toward
    lambert = np.clip(normal_x * sun_x + normal_y * sun_y - normal_z * sun_z, 0.0, 1.0)
    level = light.sky * (0.72 + 0.28 * normal_y + 0.25 * normal_z) + light.sun * lambert
    if solid.weave > 0.0:
        level = level * (1.0 + solid.weave * _folds(size))
    color = level[..., None] * np.array(solid.color, np.float32) * np.array(light.tint, np.float32)
    if solid.gloss > 0.0:
        color = color + (solid.gloss * 190.0 * lambert**12)[..., None]
    return np.asarray(color, dtype=np.float32)


def _folds(size: tuple[int, int]) -> Floats:
    """A soft pattern of creases for cloth."""
    width, height = size
    across = np.arange(width, dtype=np.float32)[None, :] / max(width, 1)
    along = np.arange(height, dtype=np.float32)[:, None] / max(height, 1)
    waves = np.sin(9.0 * along + 5.0 * across + 2.0 * np.sin(7.0 * across))
    creases = np.sin(21.0 * along - 11.0 * across + 1.7)
    return np.asarray(0.6 * waves + 0.4 * creases, dtype=np.float32)


def cast_shadows(picture: Floats, camera: Camera, light: Light, solids: list[Solid]) -> None:
    """Darkens the ground where the solids stand between it and the sun, and softly under the feet."""
    mask = np.zeros((HEIGHT // 2, WIDTH // 2), np.uint8)
    for solid in solids:
        flat = tuple(light.shadow_of(center, radius) for center, radius in solid.spheres)
        points = []
        for (x, _, z), radius in flat:
            ring = [(x + radius * c, 0.0, max(z + radius * s, 1.5)) for c, s in CIRCLE[::2]]
            points.extend(ring)
        projected = camera.project(np.array(points, dtype=np.float64))[:, :2].astype(np.float32)
        hull = np.asarray(cv2.convexHull(projected), dtype=np.float32).reshape(-1, 2)
        cv2.fillConvexPoly(mask, np.round(hull * 8).astype(np.int32), 255, lineType=cv2.LINE_AA, shift=4)
    soft = cv2.GaussianBlur(mask, (0, 0), 2.2).astype(np.float32) / 255.0
    spread = cv2.resize(soft, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    strength = min(0.62, 0.75 * light.sun / (light.sun + light.sky))
    picture *= 1.0 - strength * spread[..., None]
