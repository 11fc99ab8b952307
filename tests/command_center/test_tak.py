"""TAK: incidents as emergencies and markers, units on the map, over TCP, TLS and UDP, as pytak reads them."""

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
from pathlib import Path
from xml.etree import ElementTree as ET

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from command_center.callbacks.kinds import Options
from command_center.certificates import Tls
from command_center.config import TlsConfig
from relay.clock import SystemClock
from relay.header import Kind
from relay.kinds.retraction import Ground, Retraction
from relay.precedence import Precedence
from tests.command_center.house import House
from tests.command_center.receivers import add
from tests.command_center.tak_listener import seen_by, tak_listener
from tests.command_center.test_callbacks import settled
from tests.command_center.test_ingest import assert_all_as_written, until
from tests.command_center.test_lifecycle import act
from tests.command_center.test_units import on_board, step


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
