"""A real station enrolls over real HTTP, speaks over real ZeroMQ, and hears that a person has seen its alert."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from command_center.commands import NodeInvite, NodeStanding
from relay import envelope as envelopes
from relay.config import PathConfig, StationConfig
from relay.enrollment import enroll
from relay.header import Kind
from relay.kinds.acknowledgement import Acknowledgement
from relay.kinds.alert import Alert, Rule
from relay.kinds.body import decode
from relay.precedence import Precedence
from relay.station import Answer, AnswerLevel, Arrival, Station
from tests.command_center.house import running_center
from tests.command_center.test_ingest import until


class KeepsAll:
    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []

    def accept(self, connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
        pass

    def committed(self, arrivals: Sequence[Arrival]) -> None:
        self.arrivals += arrivals


async def test_alert_is_heard_seen_and_the_camera_knows(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center", listen=("tcp://127.0.0.1:0",)) as house, house.signed_in() as client:
        invite = NodeInvite(name="gate", role="camera", site="north", is_preapproved=True)
        outcome = await house.center.administration.perform(invite)
        code = next(line for line in outcome.lines if "enroll" in line).split()[2]
        node_dir = tmp_path / "node"
        await asyncio.to_thread(enroll, code, node_dir, wait_s=10)
        endpoint = house.center.station.listening_on[0].replace("[::ffff:127.0.0.1]", "127.0.0.1")
        config = StationConfig(state_dir=node_dir, path=(PathConfig(name="lan", endpoint=endpoint, peer="center"),))
        inbox, answers = KeepsAll(), list[Answer]()
        async with Station.open(config, inbox=inbox) as node:
            node.on_answer(answers.append)
            alert = Alert(label="handgun", camera="cam1", confidence=0.9, rule=Rule.CLASS_OF_INTEREST, age_ms=40)
            spooled = await node.put(node.draft_up(Kind.ALERT, Precedence.FLASH, alert.encode()))

            async def is_heard() -> bool:
                return any(a.level is AnswerLevel.HEARD and a.envelope_id == spooled.envelope.id for a in answers)

            await until(is_heard)
            incident = (await client.get("/api/v1/incidents")).json()["incidents"][0]
            answer = await client.post(f"/api/v1/incidents/{incident['id']}/acknowledge", json={"version": 1})
            assert answer.status_code == 200

            async def is_timed() -> bool:
                shown = (await client.get(f"/api/v1/incidents/{incident['id']}")).json()
                return shown["hops"]["acknowledged_to_node_ms"] is not None

            await until(is_timed)
            secret = node.identity.shared_secret(inbox.arrivals[0].passport.sealing_key)
            seen = decode(envelopes.open_body(inbox.arrivals[0].envelope, secret), Acknowledgement)
            assert seen.alert_ids == (spooled.envelope.id,)
            assert seen.role == "dispatcher"

            await house.center.administration.perform(NodeStanding(name="gate", standing="revoked"))
            await node.put(node.draft_up(Kind.ALERT, Precedence.FLASH, alert.encode()))

            async def is_refused() -> bool:
                return not house.center.station.path_health() and not (await house.center.station.status()).neighbors

            await until(is_refused)
        assert await house.query("SELECT COUNT(*) FROM alert") == [(1,)]
