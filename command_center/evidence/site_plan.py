"""Where it was: a plain plan of the positions that people configured, without any map from elsewhere.

North is up; the grid is in meters around the incident (equirectangular, good to a meter within a few kilometers). A camera whose
own position is not known stands where its node or site does, and the plan says which.
"""

import math
import sqlite3
from dataclasses import dataclass
from html import escape
from typing import Final

from fpdf import FPDF

from command_center.units.nearest import EARTH_RADIUS_M

_REACH_M: Final = 3_000.0
"""What is further away is not drawn."""
_MOST_PLACES: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place on the plan, in meters east and north of the incident."""

    name: str
    east_m: float
    north_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePlan:
    """One incident's."""

    name: str
    """Whose position stands for the incident's: node/camera, the node, or its site."""
    lat: float
    lon: float
    marks: tuple[Mark, ...]
    grid_m: float
    half_m: float
    """Half of the plan's width."""

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.name} at {self.lat:.6f}, {self.lon:.6f} (WGS 84, as configured); one square is {self.grid_m:g} m, north is up"


def place_of(connection: sqlite3.Connection, names: tuple[str, ...]) -> tuple[str, float, float] | None:
    """The first of these names whose position is known: name, latitude, longitude."""
    for name in names:
        row = connection.execute("SELECT lat, lon FROM place WHERE name = ?", (name,)).fetchone()
        if row is not None:
            return name, row[0], row[1]
    return None


def plan_of(connection: sqlite3.Connection, *, node: str, site: str, camera: str) -> SitePlan | None:
    """The plan around a camera; None where nobody said where it stands."""
    found = place_of(connection, (f"{node}/{camera}", node, site))
    if found is None:
        return None
    name, lat, lon = found
    marks: list[Mark] = []
    for other, other_lat, other_lon in connection.execute(
        "SELECT name, lat, lon FROM place WHERE name <> ? ORDER BY name", (name,)
    ):
        north_m = math.radians(other_lat - lat) * EARTH_RADIUS_M
        east_m = math.radians((other_lon - lon + 540) % 360 - 180) * EARTH_RADIUS_M * math.cos(math.radians(lat))
        if math.hypot(east_m, north_m) <= _REACH_M and len(marks) < _MOST_PLACES:
            marks.append(Mark(name=other, east_m=east_m, north_m=north_m))
    furthest_m = max((max(abs(mark.east_m), abs(mark.north_m)) for mark in marks), default=40.0)
    grid_m = _round_step(max(furthest_m, 20.0) / 4)
    half_m = grid_m * max(2, math.ceil(furthest_m / grid_m) + 1)
    return SitePlan(name=name, lat=lat, lon=lon, marks=tuple(marks), grid_m=grid_m, half_m=half_m)


def _round_step(meters: float) -> float:
    """1, 2 or 5 times a power of ten, at least as large."""
    power = 10.0 ** math.floor(math.log10(meters))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= meters)


def svg(plan: SitePlan, size_px: int = 360) -> str:
    """The plan as an inline drawing."""
    scale = size_px / (2 * plan.half_m)
    middle, lines = size_px / 2, list[str]()
    steps = round(plan.half_m / plan.grid_m)
    for step in range(-steps, steps + 1):
        at = middle + step * plan.grid_m * scale
        lines.append(f'<path d="M{at:.1f} 0V{size_px}M0 {at:.1f}H{size_px}" stroke="#ddd"/>')
    for mark in plan.marks:
        x, y = middle + mark.east_m * scale, middle - mark.north_m * scale
        lines.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#777"/><text x="{x + 5:.1f}" y="{y + 3:.1f}" fill="#555">{escape(mark.name)}</text>'
        )
    lines.append(
        f'<circle cx="{middle}" cy="{middle}" r="6" fill="#c00"/><text x="{middle + 9}" y="{middle - 6}" fill="#c00">{escape(plan.name)}</text>'
    )
    lines.append(
        f'<text x="{size_px - 14}" y="14">N</text><path d="M{size_px - 10} 34V18m-3 5 3-5 3 5" stroke="#111" fill="none"/>'
    )
    return (f'<svg width="{size_px}" height="{size_px}" viewBox="0 0 {size_px} {size_px}" font-size="10" font-family="sans-serif" '
            f'role="img" aria-label="site plan" style="border:1px solid #bbb">{"".join(lines)}</svg>')  # fmt: skip


def draw(pdf: FPDF, plan: SitePlan, size_mm: float = 70.0) -> None:
    """The plan on paper, at the cursor; leaves the cursor below it."""
    if pdf.get_y() + size_mm > pdf.h - 15:
        pdf.add_page()
    left, top = pdf.l_margin, pdf.get_y()
    scale, middle = size_mm / (2 * plan.half_m), size_mm / 2
    pdf.set_draw_color(215)
    steps = round(plan.half_m / plan.grid_m)
    for step in range(-steps, steps + 1):
        at = middle + step * plan.grid_m * scale
        pdf.line(left + at, top, left + at, top + size_mm)
        pdf.line(left, top + at, left + size_mm, top + at)
    pdf.set_font("Helvetica", "", 6)
    pdf.set_fill_color(120)
    for mark in plan.marks:
        x, y = left + middle + mark.east_m * scale, top + middle - mark.north_m * scale
        pdf.ellipse(x - 0.6, y - 0.6, 1.2, 1.2, style="F")
        pdf.text(x + 1.2, y + 0.6, _latin(mark.name))
    pdf.set_fill_color(200, 0, 0)
    pdf.ellipse(left + middle - 1.2, top + middle - 1.2, 2.4, 2.4, style="F")
    pdf.text(left + middle + 2, top + middle - 1, _latin(plan.name))
    pdf.text(left + size_mm - 3, top + 3, "N")
    pdf.set_draw_color(0)
    pdf.line(left + size_mm - 2.2, top + 7, left + size_mm - 2.2, top + 4)
    pdf.set_font("Helvetica", "", 9)
    pdf.set_y(top + size_mm + 2)


def _latin(text: str) -> str:
    return text.encode("latin-1", "backslashreplace").decode("latin-1")
