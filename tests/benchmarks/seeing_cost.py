"""One side of what seeing costs, in a process of its own: ``python -m tests.benchmarks.seeing_cost ours|bare CLIP WEIGHTS FRAMES THREADS``.

*ours* is an eye's way of a frame: decode, the check for black and frozen pictures, the view, detect, track, two rules. *bare* is what
somebody writes who has read only the manuals of PyAV, OpenCV and ONNX Runtime: decode, fit into the net's input, infer, boxes; it
uses no code of ours. Both on so many threads of ONNX Runtime, the same weights, the same clip. Prints one JSON object: processor seconds a frame
(all threads, after a warm-up), and the most memory that the process ever had.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2

WARM_FRAMES = 20


def bare(clip: Path, weights: Path, threads: int) -> Iterator[None]:
    """A frame each time it is asked on."""
    import av
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
    name, (_, _, high, wide) = session.get_inputs()[0].name, session.get_inputs()[0].shape
    with av.open(str(clip)) as container:
        for picture in container.decode(video=0):
            image = picture.to_ndarray(format="bgr24")
            scale = min(wide / image.shape[1], high / image.shape[0])
            fitted = cv2.resize(image, (round(image.shape[1] * scale), round(image.shape[0] * scale)))
            down, across = high - fitted.shape[0], wide - fitted.shape[1]
            fitted = cv2.copyMakeBorder(fitted, down // 2, down - down // 2, across // 2, across - across // 2,
                                        cv2.BORDER_CONSTANT, value=(114, 114, 114))  # fmt: skip
            blob = np.ascontiguousarray(fitted[:, :, ::-1].transpose(2, 0, 1)[None], np.float32)
            blob /= 255
            output = np.asarray(session.run(None, {name: blob})[0])[0]
            best = output[4:].max(axis=0)
            kept = output[:, best > 0.25]
            corners = np.stack((kept[0] - kept[2] / 2, kept[1] - kept[3] / 2, kept[2], kept[3]), axis=1)
            cv2.dnn.NMSBoxesBatched(
                corners.tolist(), best[best > 0.25].tolist(), kept[4:].argmax(axis=0).tolist(), 0.25, 0.6
            )
            yield


def ours(clip: Path, weights: Path, threads: int) -> Iterator[None]:
    """The same, as an eye does it."""
    from camera_node.capture import read_clip
    from camera_node.onnx_detector import OnnxDetector
    from camera_node.picture_check import PictureCheck
    from camera_node.rules.class_of_interest import ClassOfInterestSettings
    from camera_node.rules.zone_intrusion import ZoneIntrusionSettings
    from camera_node.sight import Sight
    from camera_node.zone import Zone

    detector = OnnxDetector(weights.read_bytes(), name="yolo", least_confidence=0.25, threads=threads)
    zone = Zone(name="path", polygon=((0.2, 0.4), (0.9, 0.4), (0.9, 0.9), (0.2, 0.9)))
    sight = Sight(detector, rules=[ClassOfInterestSettings(), ZoneIntrusionSettings(zones=("path",))], zones=[zone])
    check = PictureCheck(black_after_s=2.0, frozen_after_s=5.0)
    for frame in read_clip(clip):
        check.judge(frame.pixels, frame.captured_monotonic_ms)
        sight.look(frame)
        yield


SIDES: dict[str, Callable[[Path, Path, int], Iterator[None]]] = {"ours": ours, "bare": bare}


def main() -> None:
    side, clip, weights, frames = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    cv2.setNumThreads(1)  # as an eye does
    way = SIDES[side](clip, weights, int(sys.argv[5]))
    for _ in range(WARM_FRAMES):
        next(way)
    began_s, wall_s = time.process_time(), time.perf_counter()
    count = sum(1 for _ in zip(range(frames), way, strict=False))
    print(json.dumps({
        "cpu_s": (time.process_time() - began_s) / count, "wall_s": (time.perf_counter() - wall_s) / count,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
