"""Every kind of receiver against the real thing: a TAK listener that pytak reads, aiosmtpd, the OASIS schema; nobody waits for anybody."""

import asyncio
import contextlib
import datetime as dt
import email
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import Message
from email.policy import default
from pathlib import Path
from xml.etree import ElementTree as ET

import pytak
import pytest
import xmlschema
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from command_center.accounts import UserRole
from command_center.callbacks import cap, kinds
from command_center.callbacks.kinds import Options, ReceiverKind
from command_center.callbacks.told import plain
from command_center.certificates import Tls
from command_center.commands import CallbackAdd
from command_center.config import TlsConfig
from command_center.errors import BadRequest
from command_center.responses.plan_file import FILE_NAME
from relay.clock import SystemClock
from relay.header import Kind
from relay.kinds.retraction import Ground, Retraction
from relay.precedence import Precedence
from tests.command_center.house import House, running_center
from tests.command_center.receivers import listening
from tests.command_center.test_callbacks import count_of, events, settled, token
from tests.command_center.test_ingest import assert_all_as_written, until
from tests.command_center.test_lifecycle import act
from tests.command_center.test_units import on_board, send, step

SCHEMA_FILE = Path(__file__).parent / "data/CAP-v1.2.xsd"
CAP = f"{{{cap.NAMESPACE}}}"


async def add(house: House, name: str, url: str, options: Options | None = None, *, inside: bool = True,
              only_called: bool = False, secret: bytes | None = None) -> str:  # fmt: skip
    outcome = await house.center.administration.perform(
        CallbackAdd(
            name=name,
            url=url,
            may_be_inside=inside,
            options=options or Options(),
            only_called=only_called,
            secret=secret,
        )
    )
    return outcome.lines[-1]


# ---------------------------------------------------------------------- TAK


class _Reader(pytak.RXWorker):  # type: ignore[misc]
    """pytak's own reading of the streaming protocol."""

    async def handle_data(self, data: bytes) -> None:
        raise NotImplementedError


@dataclass(kw_only=True)
class Listener:
    """A TAK server's listening side: what pytak read from each connection."""

    port: int
    events: list[ET.Element] = field(default_factory=list)

    @property
    def kinds(self) -> list[str]:
        return [event.get("type", "") for event in self.events]


@contextlib.asynccontextmanager
async def tak_listener(context: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    found = Listener(port=0)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        worker = _Reader(asyncio.Queue(), {}, reader)
        try:
            while data := await worker.readcot():
                found.events.append(ET.fromstring(data))
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found


async def seen_by(listener: Listener, count: int) -> None:
    async def holds() -> bool:
        return len(listener.events) >= count

    await until(holds)


async def test_flash_is_a_tak_emergency_that_the_retraction_cancels(house: House) -> None:
    node = house.node()
    async with tak_listener() as tak, house.signed_in() as client:
        await add(house, "tak", f"tak+tcp://127.0.0.1:{tak.port}")
        await client.put("/api/v1/places/gate/cam1", json={"lat": 52.1, "lon": 4.25})
        alert = node.alert()
        await house.deliver(node, alert)
        await seen_by(tak, 1)
        await house.deliver(node, node.body(Kind.RETRACTION, Retraction(alert_id=alert.id, ground=Ground.CONTRADICTED)))
        await seen_by(tak, 2)
        await settled(house, delivered=2)
    opened, cancelled = tak.events
    assert tak.kinds == ["b-a-o-tbl", "b-a-o-can"]
    assert opened.get("uid") == cancelled.get("uid")
    point, emergency = opened.find("point"), cancelled.find("detail/emergency")
    assert point is not None
    assert (point.get("lat"), point.get("lon")) == ("52.1000000", "4.2500000")
    assert emergency is not None
    assert emergency.get("cancel") == "true"
    assert (cancelled.findtext("detail/remarks") or "").startswith("TAKEN BACK: FLASH handgun at north, cam1")
    for event in tak.events:
        stale = event.get("stale", "")
        assert event.get("time", "") < stale
        assert stale.endswith("Z")
    ((answer,),) = await house.query("SELECT DISTINCT last_answer FROM delivery")
    assert answer == "acknowledged by the machine at 127.0.0.1"
    await assert_all_as_written(house)


async def test_less_urgent_incident_is_a_marker_that_its_close_deletes(house: House) -> None:
    node = house.node()
    async with tak_listener() as tak, house.signed_in() as client:
        await add(house, "tak", f"tak+tcp://127.0.0.1:{tak.port}")
        await house.deliver(node, node.alert(precedence=Precedence.IMMEDIATE))
        await seen_by(tak, 1)
        await act(client, "1/acknowledge", version=1)
        await act(client, "1/close", version=2, disposition="handled")
        await seen_by(tak, 3)
    assert tak.kinds == ["b-m-p-s-m", "b-m-p-s-m", "t-x-d-d"]
    link = tak.events[2].find("detail/link")
    assert link is not None
    assert link.get("uid") == tak.events[0].get("uid")
    assert "0, 0 stands for that" in (tak.events[0].findtext("detail/remarks") or ""), "an unknown place says so"


async def test_units_move_on_the_tak_map_and_only_their_last_word_waits(house: House) -> None:
    async with tak_listener() as tak, house.signed_in() as client:
        gone = socket.create_server(("127.0.0.1", 0))
        gone_port = gone.getsockname()[1]
        gone.close()
        await add(house, "tak", f"tak+tcp://127.0.0.1:{tak.port}")
        await add(house, "dead", f"tak+tcp://127.0.0.1:{gone_port}")
        await on_board(client, lat=52.0)
        await seen_by(tak, 1)
        for number in range(1, 6):
            await client.post("/api/v1/units/M21/position", json={"lat": 52.0 + number / 100, "lon": 4.3})
            await seen_by(tak, number + 1)
        await step(client, "M21", "out_of_service")
        await seen_by(tak, 7)
    last = tak.events[-1]
    point = last.find("point")
    assert point is not None
    assert (last.get("type"), point.get("lat")) == ("a-f-G-U-C", "52.0500000")
    assert (last.findtext("detail/remarks") or "").startswith("out of service")
    waiting = await house.query("SELECT number, attempts FROM delivery WHERE receiver = 'dead' AND state = 'pending'")
    ((last_number,),) = await house.query("SELECT MAX(number) FROM delivery WHERE receiver = 'dead'")
    ((latest, attempts),) = waiting
    assert latest == last_number, "where it was does not matter any more"
    assert int(str(attempts)) >= 1, "the ladder goes on where the word before it stood"
    ((others,),) = await house.query("SELECT COUNT(*) FROM delivery WHERE receiver = 'dead' AND state = 'superseded'")
    assert int(str(others)) >= 6, "each is kept and says so"


def _client_certificate(file: Path) -> Path:
    """A key and its own certificate, in one PEM: what a TAK server hands to its clients."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "heard")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + made.public_bytes(pem))
    return file


async def test_tak_over_tls_checks_the_server_and_shows_its_own_certificate(house: House, tmp_path: Path) -> None:
    tls = Tls(TlsConfig(mode="own"), tmp_path / "tls", "127.0.0.1", SystemClock())
    authority_file = tmp_path / "tls" / "ca.pem"
    own_file = _client_certificate(tmp_path / "client.pem")
    tls.context.verify_mode = ssl.CERT_REQUIRED
    tls.context.load_verify_locations(own_file)
    node = house.node()
    async with tak_listener(tls.context) as tak:
        url = f"tak+tls://127.0.0.1:{tak.port}"
        shown = Options(ca_file=str(authority_file), certificate_file=str(own_file))
        await add(house, "trusts", url, shown)
        await add(house, "distrusts", url)
        await house.deliver(node, node.alert())
        await seen_by(tak, 1)

        async def refused() -> bool:
            rows = await house.query("SELECT last_answer FROM delivery WHERE receiver = 'distrusts'")
            return "certificate verify failed" in str(rows)

        await until(refused)
    assert len(tak.events) == 1


async def test_tak_over_udp(house: House) -> None:
    node = house.node()
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    listener.settimeout(20)
    with contextlib.closing(listener):
        await add(house, "tak", f"tak+udp://127.0.0.1:{listener.getsockname()[1]}")
        await house.deliver(node, node.alert())
        data = await asyncio.to_thread(listener.recv, 65_536)
    assert ET.fromstring(data).get("type") == "b-a-o-tbl"


# ---------------------------------------------------------------------- mail


@dataclass
class Mailbox:
    """What aiosmtpd's handler took, and how it answers."""

    answers: list[str] = field(default_factory=list)
    """For DATA, one after the other; then taken."""
    messages: list[Message] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    were_encrypted: list[bool] = field(default_factory=list)
    users: list[bytes] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        del server
        if self.answers:
            return self.answers.pop(0)
        assert isinstance(envelope.content, bytes)
        self.messages.append(email.message_from_bytes(envelope.content, policy=default))
        self.recipients.append(envelope.rcpt_tos)
        self.were_encrypted.append(session.ssl is not None)
        return "250 taken"


@contextlib.asynccontextmanager
async def mail_server(box: Mailbox, context: ssl.SSLContext | None = None, password: bytes = b"") -> AsyncIterator[int]:
    def check(_server: object, _session: object, _envelope: object, _how: object, data: object) -> AuthResult:
        box.users.append(getattr(data, "login", b""))
        return AuthResult(success=getattr(data, "password", b"") == password)

    def protocol() -> SMTP:
        return SMTP(box, tls_context=context, require_starttls=context is not None, auth_required=bool(password),
                    authenticator=check if password else None)  # fmt: skip

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def mailing(ca_file: Path | None = None, user: str = "", *, is_plain: bool = False) -> Options:
    return Options(sender="heard@city.example", recipients=("desk@units.example", "night@units.example"),
                   ca_file=str(ca_file or ""), user=user, is_plain=is_plain)  # fmt: skip


async def test_mail_is_encrypted_signed_in_threaded_and_taken_back(house: House, tmp_path: Path) -> None:
    tls = Tls(TlsConfig(mode="own"), tmp_path / "tls", "127.0.0.1", SystemClock())
    box, node = Mailbox(), house.node()
    async with mail_server(box, tls.context, b"pass word") as port:
        options = mailing(tmp_path / "tls" / "ca.pem", "heard")
        await add(house, "desk", f"smtp://127.0.0.1:{port}", options, secret=b"pass word")
        alert = node.alert()
        await house.deliver(node, alert)
        await settled(house, delivered=1)
        await house.deliver(node, node.body(Kind.RETRACTION, Retraction(alert_id=alert.id, ground=Ground.CONTRADICTED)))
        await settled(house, delivered=2)
    opened, back = box.messages
    assert box.were_encrypted == [True, True]
    assert set(box.users) == {b"heard"}
    assert box.recipients[0] == ["desk@units.example", "night@units.example"]
    assert opened["Subject"].startswith("FLASH handgun at north, cam1, yard (INC-")
    assert back["Subject"].startswith("TAKEN BACK: FLASH handgun")
    assert back["In-Reply-To"] == opened["Message-ID"]
    assert opened["Auto-Submitted"] == "auto-generated"
    text = opened.get_content()  # type: ignore[attr-defined]
    link = next(line for line in text.splitlines() if "/u/" in line)
    async with house.browser() as phone:
        assert "handgun" in (await phone.get("/u/" + link.rpartition("/")[2])).text
    await assert_all_as_written(house)


async def test_mail_without_encryption_takes_an_administrators_word(house: House) -> None:
    box, node = Mailbox(), house.node()
    async with mail_server(box) as port:
        await add(house, "strict", f"smtp://127.0.0.1:{port}", mailing())
        await add(house, "plain", f"smtp://127.0.0.1:{port}", mailing(is_plain=True))
        await house.deliver(node, node.alert())

        async def told() -> bool:
            rows = await house.query("SELECT receiver, state FROM delivery WHERE attempts > 0 ORDER BY 1")
            return rows == [("plain", "delivered"), ("strict", "pending")]

        await until(told)
    assert len(box.messages) == 1


async def test_refused_for_good_is_dead_at_once_and_refused_for_now_is_tried_again(house: House) -> None:
    box, node = Mailbox(answers=["550 no such desk", "451 later"]), house.node()
    async with mail_server(box) as port:
        await add(house, "desk", f"smtp://127.0.0.1:{port}", mailing(is_plain=True))
        await house.deliver(node, node.alert())
        await settled(house, dead=1)
        async with house.signed_in("sue", UserRole.SUPERVISOR) as client:
            (dead,) = (await client.get("/api/v1/callbacks/deliveries", params={"state": "dead"})).json()["deliveries"]
            assert "550 no such desk" in dead["last_answer"]
            assert (await client.post(f"/api/v1/callbacks/deliveries/{dead['id']}/resend")).status_code == 202

            async def later() -> bool:
                return "451" in str(await house.query("SELECT last_answer FROM delivery WHERE state = 'pending'"))

            await until(later)
            house.clock.advance(2000)
            await settled(house, delivered=1)
    assert len(box.messages) == 1


# ---------------------------------------------------------------------- CAP


@pytest.fixture(scope="module")
def schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(SCHEMA_FILE)


async def test_cap_feed_is_valid_and_each_message_refers_to_those_before(
    house: House, schema: xmlschema.XMLSchema
) -> None:
    node = house.node()
    said = await add(house, "county", "cap:", Options(sender="alerts@city.example"))
    feed_url = "/cap/" + said.partition("/cap/")[2]
    async with house.signed_in() as client, house.browser("198.51.100.7") as county:
        await client.put("/api/v1/places/north", json={"lat": -33.5, "lon": 151.0})
        alert = node.alert()
        await house.deliver(node, alert)
        await on_board(client)
        await send(client, "M21")
        await house.deliver(node, node.body(Kind.RETRACTION, Retraction(alert_id=alert.id, ground=Ground.CONTRADICTED)))
        await settled(house, delivered=4)
        index = await county.get(feed_url)
        assert index.headers["content-type"] == "application/atom+xml"
        atom = "{http://www.w3.org/2005/Atom}"
        links = [link.get("href", "") for link in ET.fromstring(index.content).iterfind(f"{atom}entry/{atom}link")]
        assert len(links) == 4
        messages = []
        for link in reversed(links):
            answer = await county.get("/cap/" + link.partition("/cap/")[2])
            assert answer.headers["content-type"] == "application/cap+xml"
            schema.validate(answer.text)
            messages.append(ET.fromstring(answer.content))
        assert (await county.get("/cap/guessed/feed.xml")).status_code == 404
        assert (await county.get(feed_url.replace("feed", "msg_none"))).status_code == 404
    assert [message.findtext(f"{CAP}msgType") for message in messages] == ["Alert", "Update", "Update", "Cancel"]
    names = [
        ",".join(message.findtext(CAP + part, "") for part in ("sender", "identifier", "sent")) for message in messages
    ]
    assert [message.findtext(f"{CAP}references", "").split() for message in messages] == [names[:n] for n in range(4)]
    assert messages[0].findtext(f"{CAP}info/{CAP}area/{CAP}circle") == "-33.500000,151.000000 0.1"
    assert (messages[3].findtext(f"{CAP}note") or "").startswith("TAKEN BACK")
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'viewed' AND subject = 'receiver:county'") == [
        (1,)
    ]
    await assert_all_as_written(house)


async def test_hostile_words_stay_words_in_every_kind(house: House, schema: xmlschema.XMLSchema) -> None:
    hostile = 'a"<&>b'
    box, node = Mailbox(), house.node()
    async with tak_listener() as tak, house.signed_in() as client, mail_server(box) as port:
        await add(house, "desk", f"smtp://127.0.0.1:{port}", mailing(is_plain=True))
        await add(house, "tak", f"tak+tcp://127.0.0.1:{tak.port}")
        await add(house, "county", "cap:", Options(sender="alerts@city.example"))
        await house.deliver(node, node.alert(label=hostile))
        await seen_by(tak, 1)
        await act(client, "1/acknowledge", version=1)
        await act(client, "1/close", version=2, disposition="test", note="\r\nBcc: evil@example")
        await seen_by(tak, 3)
        await settled(house, delivered=8)
    assert hostile in (tak.events[0].findtext("detail/remarks") or "")
    for (body,) in await house.query("SELECT body FROM delivery WHERE receiver = 'county'"):
        assert isinstance(body, bytes)
        schema.validate(body.decode())
    assert all(message["Bcc"] is None for message in box.messages)


def test_text_for_receivers_is_one_plain_line() -> None:
    assert plain("a\x00b\r\nBcc: c\u202ed\ud800e\t f") == "a b Bcc: c d e f"
    assert len(plain("x" * 10_000)) == 1000


# ---------------------------------------------------------------------- who is told


async def test_receiver_that_is_told_when_called_hears_of_its_assignment_and_what_follows(house: House) -> None:
    node = house.node()
    with listening() as mine, listening() as other:
        await add(house, "M21", mine.url, only_called=True)
        await add(house, "M22", other.url, only_called=True)
        async with house.signed_in() as client, house.browser() as phone:
            alert = node.alert()
            await house.deliver(node, alert, node.alert(label="knife"))
            await on_board(client)
            await send(client, "M21")
            await count_of(mine, 1)
            assert (await phone.post(f"/u/{token(mine.got[0])}", data={"state": "en_route"})).status_code == 303
            assert (await client.get("/api/v1/units/M21")).json()["status"] == "en_route"
            await house.deliver(
                node, node.body(Kind.RETRACTION, Retraction(alert_id=alert.id, ground=Ground.CONTRADICTED))
            )
            await count_of(mine, 3)
        await settled(house, delivered=3)
    assert events(mine) == ["incident.unit_assigned", "incident.unit_answered", "incident.retracted"]
    assert events(other) == []


async def test_receiver_that_a_plan_calls_is_told_when_a_person_confirms(tmp_path: Path) -> None:
    root_dir = tmp_path / "center"
    async with running_center(root_dir):
        pass
    (root_dir / FILE_NAME).write_text("[[plan]]\nname = 'school'\ntell = [{ receiver = 'desk' }]\n")
    async with running_center(root_dir) as house, house.signed_in() as client:
        with listening() as desk, listening() as everybody:
            await add(house, "desk", desk.url, only_called=True)
            await add(house, "everybody", everybody.url)
            node = house.node()
            await house.deliver(node, node.alert())
            await count_of(everybody, 1)

            async def proposed() -> bool:
                return bool((await client.get("/api/v1/incidents/1/response")).json()["plans"])

            await until(proposed)
            assert desk.got == []
            assert (await client.post("/api/v1/incidents/1/plan/1", json={"state": "done"})).status_code == 200
            await count_of(desk, 1)
            await act(client, "1/acknowledge", version=1)
            await count_of(desk, 2)
        assert events(desk) == ["incident.opened", "incident.acknowledged"]
        await assert_all_as_written(house)


async def test_retraction_reaches_everybody_whom_the_alert_reached_and_nobody_else(house: House) -> None:
    node, box = house.node(), Mailbox()
    with listening() as web, listening() as uncalled:
        async with (
            tak_listener() as tak,
            mail_server(box) as port,
            house.signed_in("sue", UserRole.SUPERVISOR) as client,
        ):
            await add(house, "web", web.url)
            await add(house, "uncalled", uncalled.url, only_called=True)
            await add(house, "tak", f"tak+tcp://127.0.0.1:{tak.port}")
            await add(house, "desk", f"smtp://127.0.0.1:{port}", mailing(is_plain=True))
            await add(house, "county", "cap:", Options(sender="alerts@city.example"))
            alert = node.alert()
            await house.deliver(node, alert)
            await settled(house, delivered=4)
            await add(house, "late", f"smtp://127.0.0.1:{port}", mailing(is_plain=True))
            link = (await client.post("/api/v1/units", json={"name": "M21"})) and await client.post(
                "/api/v1/units/M21/link", json={}
            )
            await step(client, "M21", "available")
            await send(client, "M21")
            await house.deliver(
                node, node.body(Kind.RETRACTION, Retraction(alert_id=alert.id, ground=Ground.SECOND_STAGE))
            )

            async def all_know() -> bool:
                rows = await house.query(
                    "SELECT receiver FROM delivery WHERE event = 'incident.retracted' AND state = 'delivered'"
                )
                return {str(name) for (name,) in rows} == {"web", "tak", "desk", "county"}

            await until(all_know)
            async with house.browser() as phone:
                page = await phone.get("/u/" + link.json()["url"].rpartition("/")[2])
            assert "has taken this alert back" in page.text, "the unit that is on its way, too"
            assert (await client.get("/api/v1/incidents/1")).json()["returned"] is True
    assert uncalled.got == []
    assert tak.kinds[-1] == "b-a-o-can"
    assert box.messages[-1]["Subject"].startswith("TAKEN BACK")
    assert await house.query("SELECT COUNT(*) FROM delivery WHERE receiver = 'late'") == [(0,)], "it knew of no alert"


async def test_slow_and_dead_receivers_of_every_kind_delay_nobody(house: House) -> None:
    """Each kind has one that accepts and never speaks, and webhooks one that hangs; the good ones and the people don't notice."""
    node = house.node()
    silent = socket.create_server(("127.0.0.1", 0), backlog=100)
    silent_port = silent.getsockname()[1]
    hang = threading.Event()
    with contextlib.closing(silent), listening() as slow, listening() as good:
        slow.hang = hang
        async with tak_listener() as tak, house.signed_in() as client:
            await add(house, "a-slow", slow.url)
            await add(house, "b-silent-mail", f"smtp://127.0.0.1:{silent_port}", mailing(is_plain=True))
            await add(house, "c-silent-tak", f"tak+tls://127.0.0.1:{silent_port}")
            await add(house, "d-unresolved", "https://no-such-name.invalid/")
            await add(house, "y-tak", f"tak+tcp://127.0.0.1:{tak.port}")
            await add(house, "z-good", good.url)
            for number in range(1, 6):
                await house.deliver(node, node.alert(label=f"thing{number}"))
                assert (await act(client, f"{number}/acknowledge", version=1)).status_code == 200
            await count_of(good, 10)
            await seen_by(tak, 10)
            assert len(slow.got) == 1, "the slow one still holds its first"
            waiting = await house.query("SELECT DISTINCT receiver FROM delivery WHERE state = 'pending'")
            assert {str(name) for (name,) in waiting} >= {"a-slow", "b-silent-mail", "c-silent-tak"}
            hang.set()
            await count_of(slow, 10)


@pytest.mark.parametrize(
    "url", ["tak+tcp://127.0.0.1:8087", "tak+udp://239.2.3.1:6969", "smtp://10.0.0.5", "tak+tls://[::1]:8089"]
)
async def test_no_kind_leads_inside_unless_that_is_meant(house: House, url: str) -> None:
    node = house.node()
    await add(house, "inside", url, mailing(), inside=False)
    await house.deliver(node, node.alert())

    async def refused() -> bool:
        return "an address inside" in str(await house.query("SELECT last_answer FROM delivery"))

    await until(refused)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("gopher://x", "begins with https:"), ("tak+tcp://x", "expected a port"), ("tak+tcp://u:p@x:1", "such as tak"),
        ("tak+tls://x:99999", "such as tak"), ("smtp://x/path", "such as tak"), ("smtp://", "such as tak"),
    ],
)  # fmt: skip
def test_addresses_that_are_none_are_refused(url: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        kinds.require_usable(url, mailing())


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(sender="a@b"),
        Options(sender="a@b", recipients=("x\r\nBcc: y@z",)),
        Options(recipients=("a@b",)),
    ],
)
def test_mail_and_feeds_need_their_names(options: Options) -> None:
    with pytest.raises(BadRequest, match="expected"):
        kinds.require_usable("smtp://x", options)
    if "@" not in options.sender:
        with pytest.raises(BadRequest, match="CAP sender"):
            kinds.require_usable("cap:", options)


def test_kinds_are_told_apart_by_the_scheme() -> None:
    found = {url: kinds.kind_of(url) for url in ("https://x", "tak+udp://x:1", "smtps://x", "cap:")}
    assert list(found.values()) == [ReceiverKind.WEBHOOK, ReceiverKind.TAK, ReceiverKind.SMTP, ReceiverKind.CAP]
