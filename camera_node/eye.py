"""One camera's own process: capture, detector, tracker, rules. It has no keys and no spool.

Started by ``supervision`` as ``python -m camera_node.eye <socket>``; gets its assignment over the socket, reports over
it, and ends with it: when the node dies the socket closes, and the kernel sends SIGKILL besides. Reports of health come
from the loop that looks at frames, so that a detector that hangs can't pretend to be well.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import cv2
import msgspec
import psutil

from camera_node import snapshot
from camera_node.capture import Capture, CaptureState
from camera_node.child_process import die_with_parent_process
from camera_node.config import CameraConfig
from camera_node.connection_grade import ConnectionGrade
from camera_node.detector_catalog import load, load_crop_check
from camera_node.errors import RulesDontFit, StreamFault
from camera_node.frame import Frame
from camera_node.masked_recording import MaskedRecording
from camera_node.messages import (
    Assignment,
    ClipReport,
    FramePace,
    Health,
    Order,
    Picture,
    Refusal,
    Report,
    Sighting,
    SuppressionsInForce,
    TakenBack,
    decode_order,
    frame_message,
    receive_message,
)
from camera_node.packet_tap import PacketSinks, PacketTap, sub_tap_file
from camera_node.picture_check import PictureCheck
from camera_node.recorder import Recorder
from camera_node.rules.catalog import labels_of
from camera_node.rules.scene import Finding
from camera_node.second_look import SecondLook
from camera_node.shared_detector import DetectorLine, SharedDetector
from camera_node.sight import Sight
from camera_node.source import parse_source
from camera_node.sub_stream import SubStream
from camera_node.suppression import Suppressions, look_of
from camera_node.zone import Zone
from relay import limits
from relay.clock import Clock, SystemClock
from relay.errors import OperatorError
from relay.kinds.heartbeat import CameraState

HEALTH_EVERY_MS: Final = 1000
REFUSED_EXIT_CODE: Final = 2
_EARLY_MS: Final = 2.0
"""A frame this much before its time is taken: clocks of whole milliseconds round."""
_READER_HANGS_AFTER_MS: Final = 20_000
_FOLLOWS: Final = 0.7
"""Of the frames wanted: below this, and busy all the time, the detector does not follow."""
_BUSY: Final = 0.7
_FAULTY: Final = frozenset({StreamFault.BLACK, StreamFault.FROZEN})


class Eye:
    """The loop over frames."""

    def __init__(self, assignment: Assignment, connection: socket.socket, clock: Clock) -> None:
        self._camera = assignment.camera
        self._connection = connection
        self._clock = clock
        zones = [Zone(name=zone.name, polygon=zone.polygon) for zone in self._camera.zone]
        line = DetectorLine(Path(assignment.shared_detector_dir)) if assignment.shared_detector_dir else None
        detector = load(assignment.model) if line is None else SharedDetector(line)
        self._provider = detector.provider
        require_fit(self._camera, detector.labels)
        self._suppressions = Suppressions(assignment.suppressions)
        second_look = SecondLook(
            check=load_crop_check(assignment.second_stage, detector, line), suppressions=self._suppressions
        )
        self._sight = Sight(detector, rules=self._camera.rule, zones=zones, second_look=second_look,
                            motion_gate=self._camera.motion_gate)  # fmt: skip
        self._check = PictureCheck(black_after_s=self._camera.black_after_s, frozen_after_s=self._camera.frozen_after_s)
        self._sending = threading.Lock()
        order = assignment.recording
        self._recorder = Recorder(order, clock=clock, report=self._send_of_clip) if order is not None else None
        self._tap = PacketTap(Path(assignment.tap_file)) if assignment.tap_file else None
        masks = self._camera.privacy_masks
        masked = MaskedRecording(masks, self._recorder) if masks and self._recorder is not None else None
        # With masks, the recorder gets what was encoded again, and the camera's own packets go nowhere that keeps them.
        self._sub_stream = (
            SubStream(self._camera.sub_source, Path(sub_tap_file(assignment.tap_file)), clock=clock, loop=self._camera.loop)
            if assignment.tap_file and self._camera.sub_source else None
        )  # fmt: skip
        sinks = [sink for sink in (None if masked else self._recorder, self._tap) if sink is not None]
        self._capture = Capture(parse_source(self._camera.source), clock=clock, loop=self._camera.loop,
                                lost_after_s=self._camera.lost_after_s, sink=PacketSinks(*sinks), pictures=masked)  # fmt: skip
        self._keeps_originals = assignment.keeps_originals and bool(masks)
        self._picture_fault: StreamFault | None = None
        self._frames_per_s = self._camera.frames_per_s
        self._reconnects = 0
        self._sightings = 0
        self._frames = 0
        self._grading = ConnectionGrade()
        self._told_state: CameraState | None = None
        self._told_ms = 0
        self._told_frames = 0
        self._busy_ms = 0

    def run(self) -> None:
        """Look until the node closes the connection."""
        if self._recorder is not None:
            self._recorder.start()
        if self._tap is not None:
            self._tap.start()
        if self._sub_stream is not None:
            self._sub_stream.start()
        self._capture.start()
        due_ms = float(self._clock.monotonic_ms())
        process = psutil.Process()
        while True:
            frame = self._capture.take(0.25, not_before_ms=due_ms - _EARLY_MS)
            now_ms = self._clock.monotonic_ms()
            state = self._capture.state()
            if state.reconnects != self._reconnects:
                self._reconnects = state.reconnects
                self._check.restart()
                self._sight.restart()
                self._picture_fault = None
            if frame is not None:
                interval_ms = 1000 / self._frames_per_s
                due_ms = max(due_ms + interval_ms, now_ms - interval_ms)
                self._look(frame)
            self._tell(state, process)
            self._end_if_reader_hangs(state, now_ms)

    def _look(self, frame: Frame) -> None:
        began_ms = self._clock.monotonic_ms()
        self._picture_fault = self._check.judge(frame.pixels, frame.captured_monotonic_ms)
        look = self._sight.look(frame)
        for finding in look.findings:
            self._report(finding, frame)
        for contradiction in look.contradictions:
            self._send(
                TakenBack(sighting=contradiction.number, ground=int(contradiction.ground), note=contradiction.note)
            )
        self._frames += 1
        self._busy_ms += self._clock.monotonic_ms() - began_ms

    def _report(self, finding: Finding, frame: Frame) -> None:
        """The sighting first; only then the time it takes to make its picture."""
        self._sightings += 1
        self._send(Sighting(
            number=self._sightings, label=finding.label, rule=int(finding.rule), zone=finding.zone,
            precedence=int(finding.precedence), confidence=finding.confidence, box_xyxy=finding.box_xyxy,
            track=finding.track, captured_monotonic_ms=frame.captured_monotonic_ms,
            captured_wall_ms=frame.captured_wall_ms, clip_time_ms=frame.clip_time_ms,
            clip=self._recorder.event(frame.captured_monotonic_ms) if self._recorder is not None else "",
            look=look_of(frame.pixels, finding.box_xyxy) if finding.track else b"",
        ))  # fmt: skip
        taken = snapshot.take(frame, box=finding.box_xyxy, caption=f"{finding.label} {finding.confidence:.2f}",
                              masks=self._camera.privacy_masks)  # fmt: skip
        original = b""
        if self._keeps_originals:
            original = snapshot.take(frame, box=finding.box_xyxy, caption="", masks=()).jpeg
        self._send(Picture(
            sighting=self._sightings, original=original, jpeg=taken.jpeg, width_px=taken.width_px, height_px=taken.height_px,
            captured_monotonic_ms=frame.captured_monotonic_ms, captured_wall_ms=frame.captured_wall_ms,
        ))  # fmt: skip

    def _tell(self, state: CaptureState, process: psutil.Process) -> None:
        """Health each second, and at once when the state changes."""
        now_ms = self._clock.monotonic_ms()
        shown, fault, detail = self._judged(state)
        since_ms = now_ms - self._told_ms
        if shown == self._told_state and since_ms < HEALTH_EVERY_MS:
            return
        frames = self._frames - self._told_frames
        grade = self._grading.note(now_ms, reconnects=state.reconnects, frames=state.frames,
                                   last_frame_ms=state.last_frame_monotonic_ms, promised_per_s=state.promised_per_s)  # fmt: skip
        last_ms = state.last_frame_monotonic_ms
        frames_per_s = min(1000.0, frames * 1000 / since_ms) if self._told_ms and since_ms else 0.0
        if shown is CameraState.SEEING and since_ms >= HEALTH_EVERY_MS:
            detail = self._shedding(frames_per_s)
        self._send(Health(
            state=shown, fault=fault, detail=detail, frames=self._frames, frames_per_s=frames_per_s,
            last_frame_age_ms=0 if last_ms is None else max(0, now_ms - last_ms), reconnects=state.reconnects,
            inference_ms=self._busy_ms / frames if frames else 0.0, memory_bytes=process.memory_info().rss,
            grade=grade.value, delivered_per_s=self._grading.frames_per_s, provider=self._provider, skipped=self._sight.skipped, stopped=dict(self._sight.second_look.stopped),
            held_back=dict(self._suppressions.held_back),
        ))  # fmt: skip
        self._told_state, self._told_ms, self._told_frames, self._busy_ms = shown, now_ms, self._frames, 0

    def _shedding(self, frames_per_s: float) -> str:
        """What this camera does without because the detector can't follow; empty: nothing."""
        wanted = min(self._frames_per_s, self._grading.frames_per_s or self._frames_per_s)
        if not self._told_ms or frames_per_s >= _FOLLOWS * wanted or self._busy_ms < _BUSY * HEALTH_EVERY_MS:
            return ""
        return f"looks at {frames_per_s:.1f} of {wanted:.0f} frames/s: the detector is busy"

    def _judged(self, state: CaptureState) -> tuple[CameraState, str, str]:
        if state.fault is not None:
            return CameraState.LOST, state.fault.value, state.detail[:200]
        if self._picture_fault is not None:
            return CameraState.FAULTY, self._picture_fault.value, f"the picture is {self._picture_fault.value}"
        if state.last_frame_monotonic_ms is None:
            return CameraState.STARTING, "", state.detail[:200]
        return CameraState.SEEING, "", ""

    def _end_if_reader_hangs(self, state: CaptureState, now_ms: int) -> None:
        """A driver that never returns can't be interrupted from within: end, and be started anew."""
        last_ms = state.last_frame_monotonic_ms
        is_silent = last_ms is not None and now_ms - last_ms > _READER_HANGS_AFTER_MS
        if is_silent and state.fault is StreamFault.TIMEOUT and "no frame for" in state.detail:
            sys.exit(f"camera {self._camera.name}: the reader hangs in its device")

    def follow(self, order: Order) -> None:
        """A later word of the node's; on the thread that waits for it."""
        if isinstance(order, SuppressionsInForce):
            self._suppressions.replace(order.suppressions)
        elif isinstance(order, FramePace):
            self._frames_per_s = order.frames_per_s

    def _send_of_clip(self, report: ClipReport) -> None:
        """On the recorder's and the capture's threads, which have nobody to raise to."""
        try:
            self._send(report)
        except OSError:
            os._exit(0)  # the node ended

    def _send(self, report: Report) -> None:
        with self._sending:
            self._connection.sendall(frame_message(report))


def require_fit(camera: CameraConfig, labels: Sequence[str]) -> None:
    """Refuse a camera none of whose rules could ever find anything with this model; one without rules is only watched.

    Raises:
        RulesDontFit: says which rule wants what, and what the model knows.
    """
    wanted = [labels_of(rule) for rule in camera.rule]
    if not wanted or any(not classes or set(classes) & set(labels) for classes in wanted):
        return
    named = ", ".join(sorted({label for classes in wanted for label in classes})[:12])
    raise RulesDontFit(
        f"camera {camera.name!r}: its rules act on {named}; the model knows {', '.join(labels[:12])}"
        f"{'…' if len(labels) > 12 else ''}: set `labels` in its [[camera.rule]], or choose another model in [model]"
    )


def receive_assignment(connection: socket.socket) -> Assignment:
    """Wait for the first message.

    Raises:
        EOFError: the node closed the connection, or said something else.
    """
    order = _receive_order(connection)
    if not isinstance(order, Assignment):
        raise EOFError("expected the assignment first")  # noqa: TRY004  the caller ends, as on a closed connection
    return order


def _receive_order(connection: socket.socket) -> Order:
    return decode_order(receive_message(connection))


def listen_to_node(connection: socket.socket, follow: Callable[[Order], None]) -> None:
    """Follow the node's later orders, and end with it.

    Two ways to end, because each has a hole: the kernel's signal is Linux only, and the socket can be held open elsewhere.
    """
    die_with_parent_process()

    def wait() -> None:
        try:
            while True:
                follow(_receive_order(connection))
        except (OSError, EOFError, msgspec.DecodeError):
            os._exit(0)

    threading.Thread(target=wait, name="wait for the node", daemon=True).start()


def main() -> None:
    """Run until the node ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the node decides
    connection = socket.socket(fileno=int(sys.argv[1]))
    cv2.setNumThreads(1)  # what OpenCV does here is small: its threads cost more than they give
    os.nice(5)  # the alert that is being spooled goes before the frame that is being looked at
    try:
        assignment = receive_assignment(connection)
        try:
            eye = Eye(assignment, connection, SystemClock())
            listen_to_node(connection, eye.follow)
            eye.run()
        except OperatorError as error:  # wrong weights, at once or on the first picture that they choke on
            refusal = Refusal(message=str(error)[: limits.MAX_BODY_BYTES // 10],
                              is_of_camera=isinstance(error, RulesDontFit))  # fmt: skip
            connection.sendall(frame_message(refusal))
            sys.exit(REFUSED_EXIT_CODE)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the node ended; its reader threads need no farewell


if __name__ == "__main__":
    main()
