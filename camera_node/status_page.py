"""The node's own page, on the loopback, for whoever stands before it with a laptop: no script, no picture, no secret.

It says what ``camera-node status`` says, and loads itself anew every five seconds. Served where ``[metrics]`` listens.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

import msgspec

from relay.kinds.heartbeat import CameraState
from relay.metrics_server import Page

if TYPE_CHECKING:
    from camera_node.node import NodeReport

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem;max-width:60rem;color:#16191d;background:#fff}"
    "table{border-collapse:collapse;width:100%;margin:0 0 1.5rem}th,td{text-align:left;padding:.3rem .8rem .3rem 0;"
    "border-bottom:1px solid #c8ccd2;vertical-align:top}caption{text-align:left;font-weight:600;padding:.5rem 0}"
    ".bad{font-weight:700}@media(prefers-color-scheme:dark){body{color:#e8eaed;background:#14171a}th,td{border-color:#3a4047}}"
)
_SHOWN: Final = 20


def pages(report: "Callable[[], Awaitable[NodeReport]]") -> Mapping[str, tuple[str, Page]]:
    """The pages, for the metrics server."""

    async def page() -> str:
        return html_of(await report())

    async def data() -> str:
        return msgspec.json.encode(await report()).decode()

    return {"/": ("text/html; charset=utf-8", page), "/status.json": ("application/json", data)}


def html_of(report: "NodeReport") -> str:
    """The page."""
    wrong = [camera for camera in report.cameras if camera.state is not CameraState.SEEING]
    down = [path for path in report.station.paths if not path.is_up]
    summary = _summary(
        len(report.cameras), len(wrong), len(report.station.paths), len(down), sum(report.station.backlog[:2])
    )
    grades = {eye.camera: eye.grade for eye in report.seeing}
    cameras = [
        (escape(camera.camera), _mark(camera.state.name.lower(), is_bad=camera.state is not CameraState.SEEING),
         f"{camera.frames_per_s:.1f}", escape(grades.get(camera.camera, "unknown")), escape(camera.detail))
        for camera in report.cameras
    ]  # fmt: skip
    paths = [
        (escape(path.path), _mark("up" if path.is_up else "down", is_bad=not path.is_up), f"{path.rtt_ms:.0f} ms")
        for path in report.station.paths
    ]
    alerts = [
        (alert.alert_id[:8], escape(f"{alert.label} {alert.confidence:.2f}"), escape(f"{alert.camera} {alert.zone}".strip()),
         escape(alert.level))
        for alert in report.alerts[:_SHOWN]
    ]  # fmt: skip
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">'
        '<meta name="viewport" content="width=device-width"><title>Heard: this node</title>'
        f"<style>{_STYLE}</style></head><body><h1>{summary}</h1>"
        + _table("Cameras", ("camera", "state", "frames/s", "connection", "why"), cameras)
        + _table("Paths", ("path", "state", "round trip"), paths)
        + _table("Last alerts", ("alert", "what", "where", "how far it got"), alerts)
        + f"<p>{escape(_board(report))}</p></body></html>"
    )


def _summary(cameras: int, blind: int, paths: int, down: int, waiting: int) -> str:
    said = [f"{cameras - blind} of {cameras} cameras see", f"{paths - down} of {paths} paths are up"]
    said.append("nothing waits" if not waiting else f"{waiting} alerts wait to be heard")
    return "; ".join(said)


def _board(report: "NodeReport") -> str:
    board = report.board
    heat = ", ".join(f"{name} {celsius:.0f} °C" for name, celsius in list(board.temperatures_c.items())[:4])
    slowed = f"; {board.pace_share:.0%} of the frames: {board.pace_why}" if board.pace_why else ""
    return f"{board.model or 'board unknown'}; {heat or 'no temperatures'}{slowed}; model {report.model}"


def _mark(text: str, *, is_bad: bool) -> str:
    return f'<span class="bad">! {escape(text)}</span>' if is_bad else escape(text)


def _table(caption: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """``rows`` are escaped already."""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    none = f'<tr><td colspan="{len(heads)}">none</td></tr>'
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body or none}</tbody></table>"
