"""What only the mqtt path has: a broker between the two, which comes and goes, and strangers on it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
import structlog
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from relay import config, hop
from relay.bulk_pace import FIRST_TOKEN, PARCEL_BYTES
from relay.config import ListenConfig, MqttOptions, PathConfig, RelayConfig
from relay.counters import Counters
from relay.errors import ConfigError
from relay.passport import Role
from relay.path import Lane, PathFacts
from relay.paths import parcels
from relay.paths.mqtt import MqttDial
from relay.paths.mqtt_broker import Broker
from relay.paths.mqtt_connection import BATCH_BYTES, MAX_PACKET_BYTES, connected
from relay.paths.outbox import Outbox
from relay.station import Answer, AnswerLevel, Station
from tests.relay.carriers import self_signed
from tests.relay.house import House, Kept, until
from tests.relay.mosquitto import Mosquitto
from tests.relay.test_path_conformance import an_alert
from tests.relay.test_status_view import shown


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, "gate-camera": Role.CAMERA})


def listen_on(broker: Mosquitto, options: MqttOptions | None = None) -> ListenConfig:
    return ListenConfig(kind="mqtt", endpoint=broker.endpoint, mqtt=options or MqttOptions())


def path_on(broker: Mosquitto, options: MqttOptions | None = None) -> PathConfig:
    return PathConfig(name="site", kind="mqtt", endpoint=broker.endpoint, peer="center", mqtt=options or MqttOptions())


@contextlib.asynccontextmanager
async def pair(
    house: House, broker: Mosquitto, inbox: Kept, options: MqttOptions | None = None
) -> AsyncIterator[tuple[Station, Station]]:
    """A center and a camera on one broker, introduced to each other."""
    async with (
        house.station("center", listen=listen_on(broker, options), inbox=inbox) as center,
        house.station("gate-camera", to=[path_on(broker, options)]) as node,
    ):
        await until(lambda: node.path_health()[0].is_up, "the path")
        yield center, node


class Stranger:
    """A third client of the broker, with the right to read and say everything."""

    def __init__(self, port: int) -> None:
        self.recorded: list[tuple[str, bytes]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
        self._client.on_message = lambda _c, _u, message: self.recorded.append((message.topic, bytes(message.payload)))
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("#")

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain)

    @contextlib.contextmanager
    def listening(self):  # type: ignore[no-untyped-def]
        self._client.loop_start()
        try:
            yield self
        finally:
            self._client.disconnect()
            self._client.loop_stop()

    async def session_up(self, lane: Lane) -> str:
        """The topic on which the camera's parcels of a lane go up, once it has used it: a session's knock comes first."""
        found: list[str] = []

        def is_there() -> bool:
            found[:] = [topic for topic, _ in self.recorded if "/up/" in topic and topic.endswith(f"/{lane.value}")]
            return bool(found)

        await until(is_there, f"traffic on the {lane.name.lower()} lane")
        return found[0]


async def test_a_broker_that_is_killed_and_comes_back_loses_nothing(house: House, tmp_path: Path) -> None:
    inbox, answers = Kept(), list[Answer]()
    async with Mosquitto(tmp_path).running() as broker, pair(house, broker, inbox) as (center, node):
        node.on_answer(answers.append)
        broker.stop()
        await until(lambda: not node.path_health()[0].is_up, "the loss to be noticed", timeout_s=2)
        for _ in range(10):
            await node.put(an_alert(node))
        await broker.start()
        await until(lambda: sum(a.level == AnswerLevel.HEARD for a in answers) >= 10, "the receipts", timeout_s=40)
        assert sorted(a.envelope.header.sequence for a in inbox.arrivals) == list(range(1, 11))
        assert not (await center.status()).counters.get("refused_bad_signature")


async def test_a_station_starts_without_its_broker_and_works_when_it_comes(house: House, tmp_path: Path) -> None:
    inbox, broker = Kept(), Mosquitto(tmp_path)
    async with (
        house.station("center", listen=listen_on(broker), inbox=inbox),
        house.station("gate-camera", to=[path_on(broker)]) as node,
    ):
        await node.put(an_alert(node))
        async with broker.running():
            await until(lambda: len(inbox.arrivals) == 1, "the alert", timeout_s=40)


async def test_a_session_whose_end_went_without_a_word_is_ended_by_the_will(tmp_path: Path) -> None:
    """Without it, the other side would wait for 12 s of silence."""
    will = ("heard/somewhere/gone", b"who")
    async with Mosquitto(tmp_path).running() as mosquitto:
        stranger = Stranger(mosquitto.port)
        with stranger.listening():
            broker = Broker.of("path 'site'", mosquitto.endpoint, MqttOptions())
            lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            async with connected(
                broker, Lane.URGENT, farewell=will, heard=lambda topic, payload: None, lost=lost, counters=Counters()
            ) as ours:
                assert ours._client is not None
                ours._client.hang_up()
                await until(lambda: stranger.recorded == [will], "the will", timeout_s=3)
            async with connected(
                broker, Lane.URGENT, farewell=will, heard=lambda topic, payload: None, lost=lost, counters=Counters()
            ):
                pass
            await until(lambda: stranger.recorded == [will, will], "the farewell", timeout_s=3)


async def test_the_will_of_either_side_ends_the_session_of_the_other_at_once(house: House, tmp_path: Path) -> None:
    async with Mosquitto(tmp_path).running() as broker:
        stranger = Stranger(broker.port)
        with stranger.listening():
            async with pair(house, broker, Kept()) as (center, node):
                up = await stranger.session_up(Lane.URGENT)
                [of_center], [of_node] = list(center._links), list(node._links)
                stranger.say(up.removesuffix("0") + "gone", b"")
                await until(
                    lambda: of_center not in list(center._links), "the session's end at the center", timeout_s=2
                )
                await until(lambda: of_node not in list(node._links), "its end at the node", timeout_s=4)
                await until(lambda: node.path_health()[0].is_up, "the next session")
                [of_node] = list(node._links)
                incarnation = next(payload for topic, payload in stranger.recorded if topic.endswith("/here"))
                stranger.say(up.split("/up/")[0] + "/gone", incarnation)
                await until(lambda: of_node not in list(node._links), "its end at the node", timeout_s=2)


async def test_a_broker_that_stands_still_takes_a_few_batches_and_no_more(house: House, tmp_path: Path) -> None:
    """Bulk waits for the broker's acks: little piles up in paho, in the kernel or in us."""
    async with Mosquitto(tmp_path).running() as broker, pair(house, broker, Kept()) as (center, node):
        [link] = list(node._links)
        with broker.standing_still():
            taken = 0
            for _ in range(50):
                while link.session.send(bytes(16_000), Lane.BULK):
                    taken += 1
                await asyncio.sleep(0.01)
            assert 16 <= taken <= 30
            assert link.session.send(hop.encode(hop.Ping(1)), Lane.URGENT)
        await until(lambda: center.counters["refused_malformed"] == taken, "all of them")


async def test_a_path_is_pinned_to_its_interface(house: House, tmp_path: Path) -> None:
    async with Mosquitto(tmp_path).running() as broker:
        pinned = msgspec.structs.replace(path_on(broker), interface="lo")
        nowhere = msgspec.structs.replace(path_on(broker), name="nowhere", interface="nosuch0")
        with structlog.testing.capture_logs() as lines:
            async with (
                house.station("center", listen=listen_on(broker), inbox=Kept()),
                house.station("gate-camera", to=[pinned, nowhere]) as node,
            ):
                await until(lambda: node.path_health()[0].is_up, "the path")
                await until(lambda: any("'nosuch0'" in str(line.get("error")) for line in lines), "the words")
                assert not node.path_health()[1].is_up


async def test_rubbish_oversized_and_recorded_messages_are_refused_and_counted(house: House, tmp_path: Path) -> None:
    inbox, answers = Kept(), list[Answer]()
    async with Mosquitto(tmp_path).running() as broker:
        stranger = Stranger(broker.port)
        with stranger.listening():
            async with pair(house, broker, inbox) as (center, node):
                node.on_answer(answers.append)
                await node.put(an_alert(node))
                await until(lambda: any(a.level == AnswerLevel.HEARD for a in answers), "the receipt")
                up = await stranger.session_up(Lane.URGENT)
                name, root = up.split("/")[-2], up.split("/up/")[0]
                down = f"{root}/down/{name}/{Lane.URGENT.value}"
                before = dict((await center.status()).counters)

                def counted(of: Station, reason: str) -> Callable[[], bool]:
                    seen = before.get(f"refused_{reason}", 0) if of is center else 0
                    return lambda: of.counters[f"refused_{reason}"] > seen

                stranger.say(up, b"\xff" * 100)
                await until(counted(center, "malformed"), "the rubbish to be refused")
                stranger.say(up, bytes(parcels.MAX_BATCH_BYTES + 1))
                await until(counted(center, "oversized"), "the oversized batch to be refused")
                stranger.say(f"{root}/up/nobody/0", b"x")
                await until(counted(center, "unexpected_topic"), "the wrong name to be refused")
                stranger.say(f"{root}/up/{'ab' * 16}/0", b"x")
                await until(counted(center, "unknown_session"), "the unknown session to be refused")
                stranger.say(down, b"\x00\x00\x00\x05short")
                stranger.say(down, b"\x00\x00\x00\xff")
                await until(counted(node, "malformed"), "the rubbish on the way down to be refused")

                # A session of the stranger's own, in which it says everything that the camera ever said.
                own = "cd" * 16
                stranger.say(f"{root}/up/{own}/knock", b"")
                await until(lambda: any(topic.endswith(f"{own}/here") for topic, _ in stranger.recorded), "an answer")
                for _, payload in [item for item in stranger.recorded if item[0] == up]:
                    stranger.say(f"{root}/up/{own}/0", payload)
                await until(counted(center, "bad_signature"), "the recorded proof to be refused")
                await until(counted(center, "not_introduced"), "the recorded envelope to be refused")
                assert [link.peer.name for link in center._links if link.peer] == ["gate-camera"]

                # A recorded alert once more in the camera's own session: one alert all the same.
                for _, payload in [item for item in stranger.recorded if item[0] == up]:
                    stranger.say(up, payload)
                await node.put(an_alert(node))
                await until(lambda: sum(a.level == AnswerLevel.HEARD for a in answers) >= 2, "the next receipt")
                assert len({a.envelope.id for a in inbox.arrivals}) == len(inbox.arrivals) == 2


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_packet_over_the_bound_is_never_read(house: House, tmp_path: Path, version: str) -> None:
    """With MQTT 5 the broker keeps it from us; with 3.1.1 the connection is cut, and made again."""
    inbox, options = Kept(), MqttOptions(version="5" if version == "5" else "3.1.1")
    async with Mosquitto(tmp_path).running() as broker:
        stranger = Stranger(broker.port)
        with stranger.listening():
            async with pair(house, broker, inbox, options) as (center, node):
                up = await stranger.session_up(Lane.URGENT)
                with structlog.testing.capture_logs() as lines:
                    stranger.say(up, bytes(MAX_PACKET_BYTES + 1))
                    await node.put(an_alert(node))
                    await until(lambda: len(inbox.arrivals) == 1, "the alert", timeout_s=30)
                    await asyncio.sleep(0.2)
                cuts = [line for line in lines if "announced a packet" in str(line.get("error"))]
                assert len(cuts) == (0 if version == "5" else 1), lines
                assert center.counters["refused_oversized"] == len(cuts)
                assert not cuts or "oversized 1" in shown(await center.status())


async def test_a_retained_message_of_somebody_else_is_refused(house: House, tmp_path: Path) -> None:
    root = f"heard/{house.identities['center'].node_id.hex()}"
    async with Mosquitto(tmp_path).running() as broker:
        stranger = Stranger(broker.port)
        with stranger.listening():
            stranger.say(f"{root}/up/{'ef' * 16}/knock", b"", retain=False)
            stranger.say(f"{root}/up/{'ef' * 16}/0", b"for ever", retain=True)
            await until(lambda: len(stranger.recorded) == 2, "the broker to have it")
            async with pair(house, broker, Kept()) as (center, _):
                await until(lambda: center.counters["refused_unexpected_topic"] == 1, "the refusal")


async def test_a_wrong_password_is_said_in_one_clear_line_without_it(house: House, tmp_path: Path) -> None:
    password_file = tmp_path / "password"
    password_file.write_text("not-the-secret\n")
    wrong = MqttOptions(username="heard", password_file=password_file)
    async with Mosquitto(tmp_path, password_for={"heard": "the-secret"}).running() as broker:
        with structlog.testing.capture_logs() as lines:
            async with house.station("gate-camera", to=[path_on(broker, wrong)]) as node:
                await until(lambda: sum("no session" in line["event"] for line in lines) >= 2, "two attempts")
                assert not node.path_health()[0].is_up
        said = [line for line in lines if line["log_level"] == "warning"]
        assert [line["event"] for line in said] == ["no session"], "the same words once"
        assert said[0]["error"] == (
            f"path 'site': no login at the broker 127.0.0.1:{broker.port}: it refuses user 'heard': "
            "check `username` and `password_file`"
        )
        assert "not-the-secret" not in str(lines)


async def test_the_right_password_opens_the_broker(house: House, tmp_path: Path) -> None:
    password_file = tmp_path / "password"
    password_file.write_text("the-secret\n")
    right, inbox = MqttOptions(username="heard", password_file=password_file), Kept()
    async with (
        Mosquitto(tmp_path, password_for={"heard": "the-secret"}).running() as broker,
        pair(house, broker, inbox, right) as (_, node),
    ):
        await node.put(an_alert(node))
        await until(lambda: len(inbox.arrivals) == 1, "the alert")


async def test_topics_that_the_broker_forbids_are_named_as_such(house: House, tmp_path: Path) -> None:
    access_file = tmp_path / "access"
    access_file.write_text("topic readwrite something/else/#\n")
    access_file.chmod(0o600)
    async with Mosquitto(tmp_path, extra=f"acl_file {access_file}").running() as broker:
        with structlog.testing.capture_logs() as lines:
            async with house.station("gate-camera", to=[path_on(broker)]):
                await until(lambda: any("access list" in str(line.get("error")) for line in lines), "the words")


async def test_over_tls_only_with_a_certificate_that_we_trust(house: House, tmp_path: Path) -> None:
    certificate_file, key_file = self_signed(tmp_path)
    inbox, trusting = Kept(), MqttOptions(ca_file=certificate_file)
    broker = Mosquitto(tmp_path, extra=f"certfile {certificate_file}\nkeyfile {key_file}")
    async with broker.running():
        at = f"mqtts://localhost:{broker.port}"
        with structlog.testing.capture_logs() as lines:
            async with (
                house.station("center", listen=ListenConfig(kind="mqtt", endpoint=at, mqtt=trusting), inbox=inbox),
                house.station("gate-camera", to=[
                    PathConfig(name="trusting", kind="mqtt", endpoint=at, peer="center", mqtt=trusting),
                    PathConfig(name="careful", kind="mqtt", endpoint=at, peer="center"),
                ]) as node,
            ):  # fmt: skip
                await node.put_all([an_alert(node) for _ in range(50)])
                await until(lambda: len(inbox.arrivals) == 50, "the alerts")
                await until(lambda: any("certificate" in str(line.get("error")) for line in lines), "the refusal")
                assert [health.is_up for health in node.path_health()] == [True, False]


async def test_a_full_lane_takes_nothing_more_and_says_so(tmp_path: Path) -> None:
    """The spool is the queue: in memory there is little, whatever the broker does."""
    from relay.paths.mqtt import MqttSession

    session = MqttSession(PathFacts(name="site", mtu_bytes=65536), asyncio.get_running_loop().create_future())
    taken = 0
    while session.send(bytes(1000), Lane.BULK):
        taken += 1
        assert taken < 100
    assert session.send(b"urgent", Lane.URGENT), "the other lane has room"
    session.drop("over")
    assert not session.send(b"urgent", Lane.URGENT)


def test_a_chunk_and_the_ping_that_follows_it_go_in_one_batch_and_two_chunks_do_not() -> None:
    """The ping waits for no room of its own, and so does the chunk behind it."""
    outbox = Outbox()
    chunk, ping = bytes(PARCEL_BYTES), hop.encode(hop.Ping(FIRST_TOKEN))
    for parcel in (chunk, ping, chunk, chunk):
        assert outbox.put(parcel, Lane.BULK)
    assert outbox.take(Lane.BULK, BATCH_BYTES[Lane.BULK]) == [chunk, ping]
    assert outbox.take(Lane.BULK, BATCH_BYTES[Lane.BULK]) == [chunk]


@pytest.mark.parametrize(
    ("endpoint", "options", "words"),
    [
        ("tcp://host:1883", MqttOptions(), "expected an endpoint like mqtt://host:1883"),
        ("mqtt://host:port", MqttOptions(), "no usable port"),
        ("mqtt://me:hush@host", MqttOptions(), "`username` and `password_file`"),
        ("mqtt://host", MqttOptions(prefix="a/+"), "`prefix`"),
        ("mqtt://host", MqttOptions(password_file=Path("/nowhere")), "needs `username`"),
        ("mqtt://host", MqttOptions(username="me", password_file=Path("/nowhere")), "can't read `password_file`"),
        ("mqtts://host", MqttOptions(ca_file=Path("/nowhere")), "`ca_file`"),
    ],
)
def test_options_that_cannot_work_are_refused_with_words(endpoint: str, options: MqttOptions, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        MqttDial(facts=PathFacts(name="site", mtu_bytes=65536), endpoint=endpoint, listener=House(Path("/nowhere")).authority.node_id,
                 counters=Counters(), options=options)  # fmt: skip
    assert "hush" not in str(refusal.value)


def test_a_broker_prints_dots_for_its_password(tmp_path: Path) -> None:
    password_file = tmp_path / "password"
    password_file.write_text("the-secret\n")
    broker = Broker.of("path 'site'", "mqtt://host", MqttOptions(username="heard", password_file=password_file))
    assert broker.password == "the-secret"
    assert repr(broker) == str(broker) == "Broker(mqtt://heard:••••@host:1883)"


def test_an_unknown_key_of_the_mqtt_table_is_refused(tmp_path: Path) -> None:
    config_file = tmp_path / "relay.toml"
    config_file.write_text(
        'state_dir = "."\n[[path]]\nname = "site"\nkind = "mqtt"\nendpoint = "mqtt://host"\npeer = "center"\n[path.mqtt]\npasword_file = "x"\n'
    )
    with pytest.raises(ConfigError, match="pasword_file"):
        config.load(config_file, RelayConfig)
    config_file.write_text(config_file.read_text().replace("pasword_file", "password_file"))
    loaded = config.load(config_file, RelayConfig)
    assert loaded.path[0].mqtt.password_file == tmp_path / "x"
    assert msgspec.structs.replace(loaded.path[0].mqtt, version="3.1.1").version == "3.1.1"
