"""What seeing costs beside a bare loop, and how many alerts are right: on the footage and the labeled pictures of HEARD_TEST_DATA.

Cost: processor time a frame of decode, detect, track and rules, beside the same clip and weights in a bare ONNX Runtime loop
(``seeing_cost``), each in processes of its own by turns, the least of three. The whole node is measured beside it: all its processes,
while it watches the clip at its own ten frames a second, records, sends and keeps its books. Alerts: ``alert_scores`` over ``labeled_shows``.
With HEARD_ULTRALYTICS_PYTHON naming a Python that has the ``ultralytics`` extra, its own ``track`` and ``predict`` run the same: ``track``
as it comes, and held to one thread (docs/decisions/0056).
"""

import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import psutil

from camera_node.detector import Detection
from camera_node.frame import Frame
from camera_node.node import NodeReport
from camera_node.onnx_detector import OnnxDetector
from command_center.demonstration.household import Household, Wishes
from relay import door
from tests.benchmarks.alert_scores import AlertScores, Score, tamper_score
from tests.benchmarks.figure import Figure
from tests.benchmarks.labeled_shows import DATA, pictures

CLIP = DATA / "vtest_480x360.avi"
WEIGHTS = DATA / "yolo11n_qdq_416.onnx"
FRAMES = 200
ROUNDS = 3
WATCH_S = 20
TAMPERED = 24
"""Pictures that are tampered with."""

Cost = dict[str, float]


def measure() -> list[Figure]:
    if not DATA.is_dir():
        print(f"no test data in {DATA}: set HEARD_TEST_DATA", file=sys.stderr)
        return []
    python = os.environ.get("HEARD_ULTRALYTICS_PYTHON", "")
    if not python:
        print("HEARD_ULTRALYTICS_PYTHON is not set: no comparison with Ultralytics", file=sys.stderr)
    return _costs(python) + _alerts(python)


# ---------------------------------------------------------------------- what it costs


def _costs(python: str) -> list[Figure]:
    peers = [str(Path(__file__).with_name("ultralytics_peer.py"))]
    own, clip = [sys.executable, "-m", "tests.benchmarks.seeing_cost"], [str(CLIP), str(WEIGHTS), str(FRAMES)]
    threads = str(os.cpu_count() or 1)  # as a node with one camera has
    sides = {"bare": [*own, "bare", *clip, "1"], "ours": [*own, "ours", *clip, "1"],
             "bare-all-cores": [*own, "bare", *clip, threads]}  # fmt: skip
    if python:
        sides |= {side: [python, *peers, side, *clip] for side in ("track", "track-one-thread")}
    rounds: dict[str, list[Cost]] = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side, command in sides.items():
            rounds[side].append(_said(command))
    least = {side: {what: min(cost[what] for cost in costs) for what in costs[0]} for side, costs in rounds.items()}
    ours, bare = least["ours"], least["bare"]
    peer = "bare ONNX Runtime loop, same clip and weights"
    figures = [
        Figure(name="decode, detect, track, rules: processor time a frame", value=ours["cpu_s"] * 1000, unit="ms",
               peer=peer, peer_value=bare["cpu_s"] * 1000, target_ratio=1.10, is_more_better=False),
        Figure(name="the whole node, all its processes: the same", value=_node_cpu_s() * 1000, unit="ms",
               peer=f"the bare loop on {threads} threads, as the node has", peer_value=least["bare-all-cores"]["cpu_s"] * 1000,
               is_more_better=False),
        Figure(name="memory", value=ours["memory_mb"], unit="MB", peer=peer, peer_value=bare["memory_mb"],
               is_more_better=False),
    ]  # fmt: skip
    if python:
        as_it_comes, one = least["track"], least["track-one-thread"]
        held = "ultralytics track, held to one thread"
        figures += [
            Figure(name="frames a second and core", value=1 / ours["cpu_s"], unit="1/s", peer="ultralytics track",
                   peer_value=1 / as_it_comes["cpu_s"], target_ratio=1.3),
            Figure(name="memory", value=ours["memory_mb"], unit="MB", peer="ultralytics track",
                   peer_value=as_it_comes["memory_mb"], target_ratio=1.0, is_more_better=False),
            Figure(name="frames a second and core", value=1 / ours["cpu_s"], unit="1/s", peer=held,
                   peer_value=1 / one["cpu_s"]),
            Figure(name="of the bare loop: the most that these weights allow", value=1 / bare["cpu_s"], unit="1/s",
                   peer=held, peer_value=1 / one["cpu_s"]),
        ]  # fmt: skip
    return figures


def _said(command: list[str]) -> Cost:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} ended with {done.returncode}: {done.stderr[-1500:]}")
    cost: Cost = json.loads(done.stdout.strip().splitlines()[-1])
    return cost


def _node_cpu_s() -> float:
    """Processor seconds a frame of a node that watches the clip, with a relay and a center to report to."""
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd()) as name,
        Household.running(Wishes(state_dir=Path(name), camera=str(CLIP), model=str(WEIGHTS))) as household,
    ):
        while not _frames_per_s(household):
            time.sleep(0.5)
        time.sleep(5)
        before_s, began_s = _tree_cpu_s(household), time.monotonic()
        paces: list[float] = []
        while time.monotonic() - began_s < WATCH_S:
            time.sleep(1)
            paces.append(_frames_per_s(household))
        spent_s, watched_s = _tree_cpu_s(household) - before_s, time.monotonic() - began_s
    return spent_s / (statistics.fmean(paces) * watched_s)


def _frames_per_s(household: Household) -> float:
    """How many it looks at now, by its own word."""
    return float(msgspec.json.decode(door.ask(household.node_dir, "node"), type=NodeReport).cameras[0].frames_per_s)


def _tree_cpu_s(household: Household) -> float:
    household.require_all_alive()
    (node,) = (child for child in psutil.Process().children() if any("camera-node" in part for part in child.cmdline()))
    times = [process.cpu_times() for process in (node, *node.children(recursive=True))]
    return float(sum(spent.user + spent.system for spent in times))


# ---------------------------------------------------------------------- how many alerts are right


def _alerts(python: str) -> list[Figure]:
    detector = OnnxDetector(WEIGHTS.read_bytes(), name="yolo", least_confidence=0.25, threads=2)
    ours, theirs = AlertScores(), AlertScores()
    with tempfile.TemporaryDirectory() as name:
        boxes = _predicted(python, Path(name) / "boxes") if python else None
        for picture in pictures():
            ours.show(picture, detector.detect)
            if boxes is not None:
                theirs.show(picture, functools.partial(_next, boxes))
    figures: list[Figure] = []
    for rule, score in ours.scores.items():
        figures += _figures(rule, score, theirs.scores[rule] if boxes is not None else None)
    scenes = [picture.pixels for picture, _ in zip(pictures(), range(TAMPERED), strict=False)]
    return figures + _figures("tamper", tamper_score(scenes), None)


def _next(boxes: Iterator[list[Detection]], _: Frame) -> list[Detection]:
    return next(boxes)


def _figures(rule: str, score: Score, theirs: Score | None) -> list[Figure]:
    peer = "" if theirs is None else "the same rules on Ultralytics' predict"
    return [
        Figure(name=f"alerts, {rule}: precision ({score.right + score.wrong} told)", value=score.precision, unit="share",
               peer=peer, peer_value=None if theirs is None else theirs.precision),
        Figure(name=f"alerts, {rule}: recall ({score.there} there)", value=score.recall, unit="share", peer=peer,
               peer_value=None if theirs is None else theirs.recall),
    ]  # fmt: skip


def _predicted(python: str, to_file: Path) -> Iterator[list[Detection]]:
    """What Ultralytics finds on each frame of the shows, in their order."""
    command = [python, str(Path(__file__).with_name("ultralytics_peer.py")), "predict", str(WEIGHTS), str(to_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode:
        raise RuntimeError(f"Ultralytics' predict ended with {done.returncode}: {done.stderr[-1500:]}")
    for line in to_file.read_text().splitlines():
        yield [
            Detection(label=label, confidence=confidence, bbox_xyxy_px=np.array(corners, np.float32))
            for label, confidence, *corners in json.loads(line)
        ]
