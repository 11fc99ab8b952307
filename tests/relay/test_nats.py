"""What only the nats path has: a server between the two, which comes and goes, and strangers on it."""

from pathlib import Path

import nats
import pytest
import structlog
from nats.aio.msg import Msg

from relay.config import ListenConfig, PathConfig
from relay.counters import Counters
from relay.errors import ConfigError
from relay.passport import Role
from relay.path import PathFacts
from relay.path_options import NatsOptions
from relay.paths import parcels
from relay.paths.nats import NatsDial
from relay.station import Answer, AnswerLevel
from tests.relay.carriers import self_signed
from tests.relay.house import House, Kept, until
from tests.relay.nats_server import NatsProcess
from tests.relay.test_path_conformance import an_alert


@pytest.fixture
def house(tmp_path: Path) -> House:
    built = House(tmp_path / "house")
    built.enroll("center", Role.CENTER)
    built.enroll("gate-camera", Role.CAMERA)
    built.settle()
    return built


def listen_on(endpoint: str, options: NatsOptions | None = None) -> ListenConfig:
    return ListenConfig(kind="nats", endpoint=endpoint, nats=options or NatsOptions())


def path_on(endpoint: str, options: NatsOptions | None = None) -> PathConfig:
    return PathConfig(name="site", kind="nats", endpoint=endpoint, peer="center", nats=options or NatsOptions())


async def test_a_server_that_is_killed_and_comes_back_loses_nothing(house: House, tmp_path: Path) -> None:
    inbox, answers = Kept(), list[Answer]()
    async with (
        NatsProcess(tmp_path).running() as server,
        house.station("center", listen=listen_on(server.endpoint), inbox=inbox),
        house.station("gate-camera", to=[path_on(server.endpoint)]) as node,
    ):
        node.on_answer(answers.append)
        await until(lambda: node.path_health()[0].is_up, "the path")
        server.stop()
        await until(lambda: not node.path_health()[0].is_up, "the loss to be noticed")
        for _ in range(10):
            await node.put(an_alert(node))
        await server.start()
        await until(lambda: sum(a.level == AnswerLevel.HEARD for a in answers) >= 10, "the receipts", timeout_s=40)
        assert [a.envelope.header.sequence for a in inbox.arrivals] == list(range(1, 11))


async def test_a_station_starts_without_its_server_and_works_when_it_comes(house: House, tmp_path: Path) -> None:
    inbox, server = Kept(), NatsProcess(tmp_path)
    async with (
        house.station("center", listen=listen_on(server.endpoint), inbox=inbox),
        house.station("gate-camera", to=[path_on(server.endpoint)]) as node,
    ):
        await node.put(an_alert(node))
        async with server.running():
            await until(lambda: len(inbox.arrivals) == 1, "the alert", timeout_s=40)


async def test_rubbish_strangers_and_recorded_words_are_refused_and_counted(house: House, tmp_path: Path) -> None:
    inbox, recorded = Kept(), list[tuple[str, bytes]]()
    async with NatsProcess(tmp_path).running() as server:
        stranger = await nats.connect(server.endpoint)

        async def record(message: Msg) -> None:
            recorded.append((message.subject, message.data))

        await stranger.subscribe("heard.>", cb=record)
        await stranger.flush()
        async with (
            house.station("center", listen=listen_on(server.endpoint), inbox=inbox) as center,
            house.station("gate-camera", to=[path_on(server.endpoint)]) as node,
        ):
            await node.put(an_alert(node))
            await until(lambda: len(inbox.arrivals) == 1, "the alert")
            await until(lambda: any(".up." in subject for subject, _ in recorded), "its record")
            up = next(subject for subject, _ in recorded if ".up." in subject and subject.endswith(".0"))
            root = up.split(".up.")[0]
            await stranger.publish(up, b"\xff" * 100)
            await stranger.publish(up, bytes(parcels.MAX_BATCH_BYTES + 1))
            await until(lambda: center.counters["refused_malformed"] >= 2, "the rubbish to be refused")
            await stranger.publish(f"{root}.up.{'ab' * 16}.0", b"x")
            await until(lambda: center.counters["refused_unknown_session"] == 1, "the unknown session to be refused")
            answer = await stranger.request(f"{root}.knock", b"../../etc", timeout=5)
            assert answer.data == b"no"
            # A session of the stranger's own, in which it says everything that the camera ever said.
            assert (await stranger.request(f"{root}.knock", b"cd" * 16, timeout=5)).data == b"here"
            for _, payload in [item for item in recorded if item[0] == up and len(item[1]) < 10_000]:
                await stranger.publish(f"{root}.up.{'cd' * 16}.0", payload)
            await until(lambda: center.counters["refused_bad_signature"] >= 1, "the recorded proof to be refused")
            await until(lambda: center.counters["refused_not_introduced"] >= 1, "the recorded envelope to be refused")
            assert [link.peer.name for link in center._links if link.peer] == ["gate-camera"]
            # Who can write there can end a session; the camera makes another.
            before = next(iter(node._links))
            await stranger.publish(f"{root}.down.{up.split('.')[-2]}.gone", b"")
            await until(lambda: before not in list(node._links), "its end")
            await node.put(an_alert(node))
            await until(lambda: len(inbox.arrivals) == 2, "the next alert", timeout_s=30)
        await stranger.close()


async def test_nobody_there_and_a_wrong_password_are_said_in_words_without_it(house: House, tmp_path: Path) -> None:
    password_file = tmp_path / "password"
    password_file.write_text("not-the-secret\n")
    wrong = NatsOptions(username="heard", password_file=password_file)
    async with NatsProcess(tmp_path, "--user", "heard", "--pass", "the-secret").running() as server:
        with structlog.testing.capture_logs() as lines:
            async with house.station("gate-camera", to=[path_on(server.endpoint, wrong)]):
                await until(lambda: any("no login" in str(line.get("error")) for line in lines), "the words")
        assert "not-the-secret" not in str(lines)
        password_file.write_text("the-secret\n")
        with structlog.testing.capture_logs() as lines:
            async with house.station("gate-camera", to=[path_on(server.endpoint, wrong)]) as node:
                await until(
                    lambda: any("nobody answers" in str(line.get("error")) for line in lines), "the words", timeout_s=30
                )
                assert not node.path_health()[0].is_up
                inbox = Kept()
                async with house.station("center", listen=listen_on(server.endpoint, wrong), inbox=inbox):
                    await node.put(an_alert(node))
                    await until(lambda: len(inbox.arrivals) == 1, "the alert", timeout_s=40)


async def test_over_tls_only_with_a_certificate_that_we_trust(house: House, tmp_path: Path) -> None:
    certificate_file, key_file = self_signed(tmp_path)
    inbox, trusting = Kept(), NatsOptions(ca_file=certificate_file)
    async with NatsProcess(
        tmp_path, "--tls", "--tlscert", str(certificate_file), "--tlskey", str(key_file)
    ).running() as server:
        at = f"tls://localhost:{server.port}"
        with structlog.testing.capture_logs() as lines:
            async with (
                house.station("center", listen=listen_on(at, trusting), inbox=inbox),
                house.station(
                    "gate-camera",
                    to=[path_on(at, trusting), PathConfig(name="careful", kind="nats", endpoint=at, peer="center")],
                ) as node,
            ):
                await node.put(an_alert(node))
                await until(lambda: len(inbox.arrivals) == 1, "the alert")
                await until(
                    lambda: any(
                        line.get("path") == "careful" and "no login" in str(line.get("error")) for line in lines
                    ),
                    "the refusal",
                )
                assert [health.is_up for health in node.path_health()] == [True, False]


@pytest.mark.parametrize(
    ("endpoint", "options", "words"),
    [
        ("mqtt://host:4222", NatsOptions(), "nats://host:4222"),
        ("nats://me:hush@host", NatsOptions(), "without a login"),
        ("nats://host", NatsOptions(prefix="a.*"), "`nats.prefix`"),
        ("nats://host", NatsOptions(username="me", password_file=Path("/nowhere")), "`password_file`"),
        ("tls://host", NatsOptions(ca_file=Path("/nowhere")), "`ca_file`"),
    ],
)
def test_options_that_cannot_work_are_refused_with_words(endpoint: str, options: NatsOptions, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        NatsDial(facts=PathFacts(name="site", mtu_bytes=65536), endpoint=endpoint, listener=House(Path("/nowhere")).authority.node_id,
                 counters=Counters(), options=options)  # fmt: skip
    assert "hush" not in str(refusal.value)
