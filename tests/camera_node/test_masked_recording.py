"""Clips of a camera with masks: the masks are in every picture of the file, and the camera's own packets are not."""

from pathlib import Path

import av
import numpy as np

from camera_node.capture import Capture
from camera_node.masked_recording import MaskedRecording
from camera_node.messages import ClipEnded, ClipReport, Recording, RecordingOrder
from camera_node.recorder import Recorder
from camera_node.source import parse_source
from relay.clock import SystemClock
from tests.camera_node.clips import moving, write_clip
from tests.camera_node.test_capture import wait_for_fault

LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


def recorded(tmp_path: Path, masks: tuple[tuple[tuple[float, float], ...], ...]) -> tuple[Path, list[ClipReport]]:
    source = write_clip(tmp_path / "clip.mp4", moving(), frames=75)
    folder_dir = tmp_path / "clips"
    folder_dir.mkdir()
    reports: list[ClipReport] = []
    order = RecordingOrder(folder=str(folder_dir), pre_roll_ms=1000, post_roll_ms=1000, longest_ms=60_000, segment_ms=500,
                           ring_bytes=10_000_000, most_bytes=10_000_000, reserve_bytes=0)  # fmt: skip
    recorder = Recorder(order, clock=SystemClock(), report=reports.append)
    capture = Capture(parse_source(str(source)), clock=SystemClock(), pictures=MaskedRecording(masks, recorder))
    recorder.start()
    capture.start()
    seen = 0
    name = ""
    while seen < 15:
        frame = capture.take(5)
        assert frame is not None
        seen += 1
        if seen == 15:
            name = recorder.event(frame.captured_monotonic_ms)
    assert name, f"a clip begins: {reports}"
    wait_for_fault(capture, within_s=20)
    assert capture.close()
    assert recorder.close()
    return folder_dir / name, reports


def test_the_masks_are_black_in_every_picture_of_the_clip(tmp_path: Path) -> None:
    file, reports = recorded(tmp_path, (LEFT_HALF,))
    assert any(isinstance(report, Recording) and report.codec == "h264" and not report.why_not for report in reports)
    assert any(isinstance(report, ClipEnded) for report in reports)
    with av.open(str(file)) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert len(pictures) >= 8, "about a second before and after at ten pictures a second"
    for picture in pictures:
        width = picture.shape[1]
        assert np.percentile(picture[:, : width // 2 - 4], 99) < 24, "nothing of the mask is kept"
        assert picture[:, width // 2 + 4 :].mean() > 30


def test_a_picture_that_can_not_be_encoded_is_counted_and_the_next_begins_anew() -> None:
    class Sink:
        opened_times = packets = closed_times = 0

        def opened(self, stream: object) -> None:
            self.opened_times += 1

        def packet(self, packet: object, monotonic_ms: int, wall_ms: int) -> None:
            self.packets += 1

        def closed(self) -> None:
            self.closed_times += 1

    sink = Sink()
    recording = MaskedRecording((LEFT_HALF,), sink)
    good = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 90, np.uint8), format="bgr24")
    larger = av.VideoFrame.from_ndarray(np.full((240, 320, 3), 90, np.uint8), format="bgr24")

    class Broken:
        width, height = 160, 120

        def reformat(self, **_: object) -> object:
            raise ValueError("broken")

    recording.picture(good, 0, 0)
    recording.picture(good, 20, 20)
    assert sink.packets == 1, "no more than ten a second"
    recording.picture(Broken(), 200, 200)  # type: ignore[arg-type]
    assert recording.failures == 1
    recording.picture(good, 400, 400)
    recording.picture(larger, 600, 600)
    assert (sink.opened_times, sink.packets, sink.closed_times) == (3, 3, 2)
