"""Unmasked pictures: sealed on the node, opened at the center, and never anywhere in the open on the way."""

import os
from pathlib import Path

import cv2
import numpy as np
from nacl.public import PrivateKey, SealedBox

from camera_node.config import NodeConfig
from camera_node.sealed_originals import PrivacyConfig, SealedOriginals
from relay.counters import Counters
from relay.header import Kind
from relay.ids import EnvelopeId
from relay.kinds import body
from relay.kinds.chunk import Chunk
from tests.camera_node.house import House
from tests.camera_node.test_node import camera, model, running
from tests.camera_node.waiting import until

EVERYTHING = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


async def test_a_masked_cameras_original_is_sealed_here_and_only_the_masked_picture_travels(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    async with house.run_center() as (_, inbox, path):
        config = NodeConfig(state_dir=state_dir, path=(path,), camera=(camera(tmp_path, privacy_masks=(EVERYTHING,)),),
                            model=model(tmp_path), privacy=PrivacyConfig(keeps_originals=True))  # fmt: skip
        async with running(config):
            await until(lambda: bool(inbox.of(Kind.CHUNK)), what="the snapshot", within_s=30)
            await until(lambda: any(state_dir.glob("originals/*.sealed")), what="the original is kept")
            alert_id = inbox.of(Kind.ALERT)[0].envelope.id
            sealed = (state_dir / "originals" / f"{alert_id.hex()}.sealed").read_bytes()
            sent = b"".join(body.decode(house.open(arrival), Chunk).content for arrival in inbox.of(Kind.CHUNK)[:12])
    original = SealedBox(PrivateKey(house._authority.sealing_secret)).decrypt(sealed)
    assert _mean(original) > 30, "the unmasked picture"
    assert _mean(sent) < 25, "the masked one: only the box is drawn on black"
    assert b"\xff\xd8\xff" not in sealed
    assert not list((state_dir / "originals").glob("*.half"))


def _mean(jpeg: bytes) -> float:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return float(picture.mean())


async def test_nothing_is_kept_unless_policy_says_so_and_the_oldest_go_first(tmp_path: Path) -> None:
    key = PrivateKey.generate()

    def originals(settings: PrivacyConfig) -> SealedOriginals:
        return SealedOriginals(tmp_path, settings, authority_sealing_key=bytes(key.public_key), counters=counters)

    counters = Counters()
    await originals(PrivacyConfig()).keep(EnvelopeId(bytes(32)), b"jpeg")
    assert not (tmp_path / "originals").exists()
    kept = originals(PrivacyConfig(keeps_originals=True, originals_bytes=1_000_000, originals_days=10))
    for number in range(5):
        await kept.keep(EnvelopeId(bytes([number]) * 32), os.urandom(400_000))
        file = tmp_path / "originals" / f"{bytes([number] * 32).hex()}.sealed"
        os.utime(file, (1_790_000_000 + number, 1_790_000_000 + number))
    left = sorted(file.name[:2] for file in (tmp_path / "originals").glob("*.sealed"))
    assert left[-1] == "04"
    assert counters["originals_deleted"] >= 3
    assert (tmp_path / "originals").stat().st_mode & 0o077 == 0


async def test_a_disk_that_refuses_costs_the_original_and_nothing_else(tmp_path: Path) -> None:
    counters = Counters()
    (tmp_path / "originals").write_text("a file where a folder should be")
    kept = SealedOriginals(tmp_path, PrivacyConfig(keeps_originals=True), authority_sealing_key=bytes(PrivateKey.generate().public_key),
                           counters=counters)  # fmt: skip
    await kept.keep(EnvelopeId(bytes(32)), b"jpeg")
    assert counters["originals_not_kept"] == 1
