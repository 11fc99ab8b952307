"""A believable evening at the stand-in for the command center, to look at the console without one.

`python -m tests.command_center.console_story --port 8481 [--pictures DIR]`, where DIR may hold `pictures.json`, a list of
`{"file", "label", "box"}`. Sign in as `okafor` with `correct horse`.
"""

import argparse
import json
import mimetypes
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.command_center.console_mock import PASSWORD, USERNAME, MockCenter, Record, painted_picture

Scene = tuple[str, str, str, str, str, str, float, str]
SCENES: Final[Sequence[Scene]] = (
    ("Harbor", "harbor-01", "gate-2", "yard", "FLASH", "class_of_interest", 0.91, "SYNCHRONIZED"),
    ("Harbor", "harbor-01", "quay-east", "quay", "FLASH", "class_of_interest", 0.84, "SYNCHRONIZED"),
    ("Depot South", "depot-02", "dock-4", "loading", "IMMEDIATE", "zone_intrusion", 0.77, "UNSET"),
    ("Station Mitte", "station-07", "hall-b", "", "IMMEDIATE", "loitering", 0.68, "FREE_RUNNING"),
    ("Depot South", "depot-02", "fence-n", "perimeter", "PRIORITY", "tamper", 0.99, "UNSET"),
)


def load_pictures(center: MockCenter, pictures_dir: Path | None) -> list[Record]:
    """Pictures with their labels and boxes; the painted one where there is no folder."""
    if pictures_dir is None:
        url = center.add_picture("painted", "image/png", painted_picture())
        return [{"url": url, "label": "handgun", "box": [0.45, 0.55, 0.53, 0.62]}]
    listed: list[Record] = json.loads((pictures_dir / "pictures.json").read_text())
    for picture in listed:
        file = pictures_dir / picture["file"]
        picture["url"] = center.add_picture(file.name, mimetypes.guess_type(file.name)[0] or "", file.read_bytes())
    return listed


def tell_story(center: MockCenter, pictures_dir: Path | None) -> None:
    """Fill the center with a believable evening."""
    center.put_node("harbor-01", cameras=[
        {"camera": "gate-2", "state": "seeing", "frames_per_s": 14.8, "detail": ""},
        {"camera": "quay-east", "state": "seeing", "frames_per_s": 9.9, "detail": ""},
    ], age_s=2)  # fmt: skip
    center.put_node("depot-02", site="Depot South", state="late", age_s=38, missing=14, gaps=[[812, 820], [851, 855]],
                    backlog=[2, 4, 0, 7, 0], oldest_waiting_s=41, cameras=[
                        {"camera": "dock-4", "state": "seeing", "frames_per_s": 6.1, "detail": ""},
                        {"camera": "fence-n", "state": "faulty", "frames_per_s": 5.0, "detail": "frozen picture for 3 min"}],
                    paths=[{"path": "lte", "is_up": True, "rtt_ms": 212}, {"path": "ethernet", "is_up": False, "rtt_ms": 0}],
                    )  # fmt: skip
    center.put_node("station-07", site="Station Mitte", state="silent", age_s=544, cameras=[
        {"camera": "hall-b", "state": "lost", "frames_per_s": 0, "detail": "RTSP refused: 401"}])  # fmt: skip
    center.put_node("relay-harbor", role="relay", age_s=1, cameras=[])
    center.put_node("gate-new", state="waiting", last_heard_at_ms=None, last_heard_age_ms=None, cameras=[])
    pictures = load_pictures(center, pictures_dir)
    for at, age_s in enumerate((6900, 3100, 2200, 760, 410, 260, 190, 96, 41, 12)):
        raise_scene(center, pictures, at, age_s=age_s)
    for number, who in ((1, "rivera"), (2, "okafor"), (4, "rivera"), (5, "okafor")):
        seen = center.acknowledge(number, who)
        seen["acknowledged_at_ms"] = seen["first_alert_at_ms"] + 8400 + number * 900
        seen["hops"]["acknowledged_to_node_ms"] = 52.0
    center.change_incident(2, state="closed", disposition="false_alarm")
    center.change_incident(8, quarantined=True)
    center.incidents[10]["alert_count"] = 4


def raise_scene(center: MockCenter, pictures: Sequence[Record], at: int, *, age_s: float = 0) -> Record:
    site, node, camera, zone, precedence, rule, confidence, quality = SCENES[at % len(SCENES)]
    picture = pictures[at % len(pictures)]
    hops = {"sighting_to_spooled_ms": 11.4 + at, "spooled_to_stored_ms": None if quality == "UNSET" else 38.2 * (1 + at % 4),
            "stored_to_receipt_ms": 3.1, "acknowledged_to_node_ms": None}  # fmt: skip
    return center.add_incident(
        label=picture["label"], camera=camera, zone=zone, node={"id": node, "name": node, "site": site},
        precedence=precedence, rule=rule, confidence=confidence, clock_quality=quality, hops=hops, age_s=age_s,
        snapshot_url=None if at == 6 else picture["url"], box_xyxy=picture["box"],
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8481)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--every", type=float, default=25.0, metavar="SECONDS", help="a new incident so often")
    asked = parser.parse_args()
    with MockCenter(port=asked.port) as center:
        tell_story(center, asked.pictures)
        print(f"{center.url}  {USERNAME} / {PASSWORD}")
        pictures = load_pictures(center, asked.pictures)
        chance = random.Random(7)
        next_at = time.monotonic() + asked.every
        while True:
            time.sleep(2)
            center.put_node("harbor-01", cameras=center.nodes["harbor-01"]["cameras"])
            if time.monotonic() > next_at:
                raise_scene(center, pictures, chance.randrange(len(SCENES)))
                next_at = time.monotonic() + asked.every


if __name__ == "__main__":
    main()
