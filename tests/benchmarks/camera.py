"""The camera's share of the delay: from the frame's capture to the fsynced alert, in the real processes on the shipped scene."""

import statistics
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import onnxruntime

from command_center.demonstration.dispatcher import Dispatcher
from command_center.demonstration.household import USERNAME, Household, Wishes
from models.demonstration import SCENE_FILE, WEIGHTS_FILE
from tests.benchmarks.figure import Figure, percentile

WATCH_S = 60


def measure() -> list[Figure]:
    inference_ms = _bare_inference_ms()
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd()) as name,
        Household.running(Wishes(state_dir=Path(name))) as household,
        Dispatcher(household.url, USERNAME, household.password),
    ):
        time.sleep(WATCH_S)
        alerts = household.node_status()["alerts"]
    assert isinstance(alerts, list)
    took = [float(alert["sighting_to_spooled_ms"]) for alert in alerts if alert["sighting_to_spooled_ms"] is not None]
    limit_ms = inference_ms + 1000 / 10 + 15
    return [
        Figure(name="sighting to spooled, p50", value=statistics.median(took), unit="ms", peer="bare inference of one frame",
               peer_value=inference_ms, is_more_better=False),
        Figure(name="sighting to spooled, p95", value=percentile(took, 0.95), unit="ms",
               peer="inference + one frame interval (100 ms) + 15 ms", peer_value=limit_ms, target_ratio=1.0, is_more_better=False),
        Figure(name="alerts measured", value=len(took), unit="alerts"),
    ]  # fmt: skip


def _bare_inference_ms() -> float:
    """Median ms of the session alone on frames of the same clip."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(WEIGHTS_FILE), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    took: list[float] = []
    with av.open(str(SCENE_FILE)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number >= 60:
                break
            picture = frame.reformat(640, 384, "rgb24").to_ndarray().astype(np.float32).transpose(2, 0, 1)[None] / 255
            at = time.perf_counter()
            session.run(None, {name: picture})
            took.append((time.perf_counter() - at) * 1000)
    return statistics.median(took)
