"""Mail to a real server: encrypted, signed in, threaded, taken back; refusals for good and for now."""

from pathlib import Path

from command_center.accounts import UserRole
from command_center.certificates import Tls
from command_center.config import TlsConfig
from relay.clock import SystemClock
from relay.header import Kind
from relay.kinds.retraction import Ground, Retraction
from tests.command_center.house import House
from tests.command_center.mail_server import Mailbox, mail_server, mailing
from tests.command_center.receivers import add
from tests.command_center.test_callbacks import settled
from tests.command_center.test_ingest import assert_all_as_written, until


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
