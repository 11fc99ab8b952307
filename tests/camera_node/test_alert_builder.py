"""What a sighting becomes: small enough for a radio frame, first, durable, and never lost for want of room."""

import hashlib
import string

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from camera_node import snapshot
from camera_node.alert_builder import build_alert, build_exhibit
from camera_node.frame import Frame
from camera_node.messages import Picture, Sighting
from relay import envelope as envelopes
from relay.clock import ClockQuality
from relay.header import Header, Kind
from relay.identity import Identity
from relay.ids import AUTHORITY, EnvelopeId
from relay.kinds import alert as alerts
from relay.kinds import body
from relay.limits import LORA_FRAME_BYTES
from relay.precedence import Precedence


def sighting(label: str = "handgun", zone: str = "yard") -> Sighting:
    return Sighting(number=1, label=label, rule=1, zone=zone, precedence=0, confidence=0.91,
                    box_xyxy=(0.1, 0.2, 0.3, 0.4), track=70_001, captured_monotonic_ms=5_000,
                    captured_wall_ms=1_790_000_000_000, clip_time_ms=0)  # fmt: skip


@given(st.text(min_size=1, max_size=60), st.text(alphabet=string.printable + "äß漢字🚨", max_size=12))
def test_sealed_alert_fits_one_radio_frame_whatever_the_names(label: str, camera: str) -> None:
    built = build_alert(
        camera or "c", sighting(label, alerts.tag("Parkhaus 漢字漢字")), now_ms=5_080, model_sha256=bytes(range(32))
    )
    data = built.encode()
    identity = Identity.generate()
    header = Header(
        kind=Kind.ALERT, quality=ClockQuality.SYNCHRONIZED, precedence=Precedence.FLASH, origin=identity.node_id,
        destination=AUTHORITY, series=2**32 - 1, boot=65535, sequence=2**32 - 1, wall_ms=2**47, monotonic_ms=2**47,
        ttl_s=0, link=bytes(8), body_sha256=hashlib.sha256(data).digest(),
    )  # fmt: skip
    sealed = envelopes.seal(header, data, signing=identity.signing, shared_secret=bytes(32))
    assert len(sealed.wire) <= LORA_FRAME_BYTES
    again = alerts.decode(data)
    assert again.age_ms == 80
    assert again.model_sha256_prefix == bytes([0, 1, 2, 3])
    assert len(again.label.encode()) <= 12


def test_exhibit_names_exactly_the_bytes_that_follow() -> None:
    jpeg = bytes(range(256)) * 50
    picture = Picture(sighting=1, jpeg=jpeg, width_px=960, height_px=540, captured_monotonic_ms=1, captured_wall_ms=2)
    exhibit, chunks = build_exhibit(EnvelopeId(bytes(32)), picture)
    assert b"".join(chunk.content for chunk in chunks) == jpeg
    assert exhibit.items[0].sha256 == hashlib.sha256(jpeg).digest()
    assert exhibit.items[0].chunk_count == len(chunks)
    body.encode(exhibit)


def test_snapshot_is_small_marked_and_masked() -> None:
    chance = np.random.default_rng(3)
    pixels = np.asarray(chance.integers(0, 255, (1080, 1920, 3)), np.uint8)
    frame = Frame(pixels=pixels, captured_monotonic_ms=0, captured_wall_ms=0, sequence=1, clip_time_ms=0)
    before = pixels.copy()
    mask = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
    taken = snapshot.take(frame, box=(0.6, 0.2, 0.8, 0.9), caption="handgun 0.91 ü", masks=[mask])
    assert taken.width_px <= 960
    assert len(taken.jpeg) < 120_000, "noise is the worst case; a scene stays under 40 kB"
    np.testing.assert_array_equal(pixels, before)
    import cv2

    decoded = cv2.imdecode(np.frombuffer(taken.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded[:, : taken.width_px // 2 - 8].mean() < 6, "nothing of the mask leaves"
    assert decoded[:, taken.width_px // 2 + 8 :].mean() > 60
