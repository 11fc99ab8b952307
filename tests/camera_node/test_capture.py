"""Capture: files, absence, hanging peers, black and frozen pictures."""

import contextlib
import itertools
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from camera_node.capture import Capture, read_clip
from camera_node.errors import StreamError, StreamFault, redacted
from camera_node.picture_check import PictureCheck
from camera_node.source import SourceKind, parse_source
from relay.backoff import Backoff
from relay.clock import SystemClock
from tests.camera_node.clips import moving, still, write_clip
from tests.camera_node.film import write_film


@contextlib.contextmanager
def reading(source: str, *, loop: bool = False) -> Iterator[Capture]:
    capture = Capture(parse_source(source), clock=SystemClock(), loop=loop,
                      backoff=Backoff(least_s=0.05, most_s=0.2, stable_s=10, source=random.Random(1)))  # fmt: skip
    capture.start()
    try:
        yield capture
    finally:
        assert capture.close(8), "the reader ends"


def wait_for_fault(capture: Capture, *, within_s: float) -> StreamFault:
    began = time.monotonic()
    while time.monotonic() - began < within_s:
        fault = capture.state().fault
        if fault is not None:
            return fault
        time.sleep(0.02)
    raise AssertionError(f"no fault within {within_s} s: {capture.state()}")


def test_file_is_paced_at_its_own_rate_and_ends(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", moving(), frames=25)
    began = time.monotonic()
    with reading(str(clip)) as capture:
        frame = capture.take(3)
        assert frame is not None
        assert frame.pixels.shape == (120, 160, 3)
        assert wait_for_fault(capture, within_s=5) is StreamFault.ENDED
        assert 0.8 < time.monotonic() - began < 2.5
        state = capture.state()
        assert state.has_ended
        assert state.frames == 25


def test_looped_file_goes_on_and_skips_what_nobody_took(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", moving(), frames=10)
    with reading(str(clip), loop=True) as capture:
        first = capture.take(3)
        time.sleep(1.0)
        second = capture.take(3)
        assert first is not None
        assert second is not None
        assert second.sequence - first.sequence > 10, "newest only"
        assert SystemClock().monotonic_ms() - second.captured_monotonic_ms < 300


def test_camera_absent_at_start_is_found_when_it_comes(tmp_path: Path) -> None:
    file = tmp_path / "late.mp4"
    with reading(str(file), loop=True) as capture:
        assert wait_for_fault(capture, within_s=3) is StreamFault.NOT_FOUND
        write_clip(tmp_path / "made.mp4", moving(), frames=20).rename(file)
        assert capture.take(5) is not None
        assert capture.state().fault is None
        assert capture.state().reconnects >= 1


@pytest.mark.parametrize(("content", "fault"), [
    (b"no video at all", StreamFault.CODEC_UNSUPPORTED), (b"", StreamFault.CODEC_UNSUPPORTED),
])  # fmt: skip
def test_file_that_is_no_video_is_named_so(tmp_path: Path, content: bytes, fault: StreamFault) -> None:
    file = tmp_path / "broken.mp4"
    file.write_bytes(content)
    with reading(str(file)) as capture:
        assert wait_for_fault(capture, within_s=3) is fault
    with pytest.raises(StreamError):
        list(read_clip(file))


def test_peer_that_accepts_and_says_nothing_is_a_timeout_within_five_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        began = time.monotonic()
        with reading(f"rtsp://user:secret@127.0.0.1:{port}/cam") as capture:
            assert wait_for_fault(capture, within_s=5.5) is StreamFault.TIMEOUT
            assert time.monotonic() - began <= 5.2
            assert "secret" not in capture.state().detail


def test_nobody_listening_is_a_failed_connection_without_the_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with reading(f"rtsp://user:secret@127.0.0.1:{port}/cam") as capture:
        assert wait_for_fault(capture, within_s=5) is StreamFault.CONNECTION_FAILED
        assert "secret" not in capture.state().detail
        assert "user" not in capture.state().detail


def test_camera_that_answers_a_tls_address_in_the_clear_is_a_failed_encryption() -> None:
    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    greeted.append(connection.recv(4096)[:1])
                    connection.sendall(b"RTSP/1.0 400 Bad Request\r\nCSeq: 1\r\n\r\n")

    greeted: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        with reading(f"rtsps://user:secret@127.0.0.1:{server.getsockname()[1]}/cam") as capture:
            assert wait_for_fault(capture, within_s=6) is StreamFault.TLS_FAILED
            assert "secret" not in capture.state().detail
        server.shutdown(socket.SHUT_RDWR)
    thread.join(2)
    assert greeted[0] == b"\x16", "a TLS handshake was begun"


@pytest.mark.parametrize(("status", "fault"), [
    ("401 Unauthorized", StreamFault.AUTH_FAILED), ("404 Not Found", StreamFault.NOT_FOUND),
])  # fmt: skip
def test_refusals_of_an_rtsp_server_are_told_apart(status: str, fault: StreamFault) -> None:
    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    while request := connection.recv(4096):
                        number = next((line for line in request.splitlines() if line.startswith(b"CSeq")), b"CSeq: 1")
                        extra = b'WWW-Authenticate: Basic realm="x"\r\n' if status.startswith("401") else b""
                        connection.sendall(
                            b"RTSP/1.0 " + status.encode() + b"\r\n" + number + b"\r\n" + extra + b"\r\n"
                        )

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        with reading(f"rtsp://user:wrong@127.0.0.1:{server.getsockname()[1]}/cam") as capture:
            assert wait_for_fault(capture, within_s=5) is fault
        server.shutdown(socket.SHUT_RDWR)
    thread.join(2)


def test_black_and_frozen_pictures_are_faults_and_live_ones_are_not(tmp_path: Path) -> None:
    for painter, expected in ((still(0), StreamFault.BLACK), (still(90), StreamFault.FROZEN), (moving(), None)):
        check = PictureCheck(black_after_s=1, frozen_after_s=2)
        faults = {check.judge(frame.pixels, frame.captured_monotonic_ms)
                  for frame in read_clip(write_clip(tmp_path / "clip.mp4", painter, frames=90))}  # fmt: skip
        assert faults - {None} == ({expected} if expected else set())


def test_device_that_is_not_there_is_not_found() -> None:
    with reading("/dev/video97") as capture:
        assert wait_for_fault(capture, within_s=3) is StreamFault.NOT_FOUND


def test_secrets_are_taken_out_of_addresses() -> None:
    assert redacted("rtsp://admin:p@ss:w@10.0.0.5:554/s?token=abc&x=1") == "rtsp://•••@10.0.0.5:554/s?token=•••&x=1"
    assert redacted("rtsp://admin:p@ss/w#rd@10.0.0.5/s 'http://u:a/b@c/x'") == "rtsp://•••@10.0.0.5/s 'http://•••@c/x'"
    assert repr(parse_source("rtsp://admin:pw@host/x")) == "Source(rtsp, rtsp://•••@host/x)"
    assert parse_source("/dev/video0").kind is SourceKind.DEVICE
    with pytest.raises(ValueError, match="expected a file"):
        parse_source("gopher://x")


@pytest.mark.parametrize("address", [
    "rtsp://admin:geheim/1@10.0.0.5/s", "rtsp://admin:geheim#1@10.0.0.5/s", "rtsp://admin:geheim?1@10.0.0.5:554/s",
    "http://admin:p@ss:geheim/1@10.0.0.5/s", "rtsp://admin:p@geheim/1@10.0.0.5/s", "rtsp://10.0.0.5:geheim/s", "rtsp:///geheim",
])  # fmt: skip
def test_an_address_whose_password_takes_it_apart_is_refused_with_what_to_write(address: str) -> None:
    with pytest.raises(ValueError, match="expected an address like rtsp") as refused:
        parse_source(address)
    assert "%2F for /" in str(refused.value)
    assert "geheim" not in str(refused.value) or "@" not in address


def test_a_camera_s_name_that_nobody_knows_is_named() -> None:
    with reading("rtsp://user:wrong@camera.invalid/cam") as capture:
        assert wait_for_fault(capture, within_s=10) is StreamFault.CONNECTION_FAILED
        assert "camera.invalid has no address here" in capture.state().detail
    with reading("rtsp://user:p@geheim.invalid?1@camera/cam") as capture:
        assert wait_for_fault(capture, within_s=10) is StreamFault.CONNECTION_FAILED
        assert "its host has no address here" in capture.state().detail
        assert "geheim" not in capture.state().detail


def test_who_looks_at_fewer_frames_than_come_gets_fresh_ones(tmp_path: Path) -> None:
    """Taking what lies there when one's turn has come would make every sighting older by up to a frame interval."""
    clip = write_clip(tmp_path / "clip.mp4", moving(), frames=40)
    clock = SystemClock()
    with reading(str(clip), loop=True) as capture:
        assert capture.take(5) is not None
        for _ in range(5):
            time.sleep(0.11)  # a frame lies there by now, older than the moment asked for
            due_ms = clock.monotonic_ms()
            frame = capture.take(5, not_before_ms=due_ms)
            assert frame is not None
            assert frame.captured_monotonic_ms >= due_ms
    assert capture.take(0.05, not_before_ms=clock.monotonic_ms() + 60_000) is None


@pytest.mark.parametrize("container", ["film.mp4", "film.avi"])
def test_pictures_that_were_sent_out_of_order_have_times_that_only_go_forward(container: str, tmp_path: Path) -> None:
    """H.264 with B-frames; AVI keeps one stamp for each packet, so that the pictures' own jump back and forth."""
    film = write_film(tmp_path / container, options={"bf": "3", "preset": "medium", "x264-params": "b-adapt=0"})
    with av.open(str(film)) as opened:
        stamps = [picture.pts or 0 for picture in opened.decode(video=0)]
    with av.open(str(film)) as opened:
        sent = [packet.pts or 0 for packet in opened.demux(video=0) if packet.size]
    assert stamps != sorted(stamps) or sent != sorted(sent), "the fault is there"
    shown = [frame.captured_monotonic_ms for frame in read_clip(film)]
    assert shown == sorted(shown)
    steps = {after - before for before, after in itertools.pairwise(shown[3:-2])}
    assert steps == {100}, "the first picture whose stamp jumps back shows which of its two stamps is to be believed"
    with reading(str(film)) as capture:
        taken: list[tuple[int, int]] = []
        while (frame := capture.take(3)) is not None:
            taken.append((frame.captured_monotonic_ms, frame.clip_time_ms))
    assert len(taken) > 10
    assert taken == sorted(taken)
