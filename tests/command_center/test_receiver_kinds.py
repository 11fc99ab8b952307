"""What all kinds of receivers share: who is told, in plain words, at which addresses, and that nobody waits for anybody."""

import contextlib
import json
import socket
import threading
from pathlib import Path

import httpx
import pytest
from nacl.signing import SigningKey

from command_center.accounts import UserRole
from command_center.callbacks import kinds, postman, store, writer
from command_center.callbacks.kinds import Options, ReceiverKind
from command_center.callbacks.told import plain
from command_center.errors import BadRequest
from command_center.responses.plan_file import FILE_NAME
from relay.header import Kind
from relay.kinds.retraction import Ground, Retraction
from relay.precedence import Precedence
from tests.command_center.cap_schema import cap_schema
from tests.command_center.house import House, running_center
from tests.command_center.mail_server import Mailbox, mail_server, mailing
from tests.command_center.receivers import add, listening
from tests.command_center.tak_listener import seen_by, tak_listener
from tests.command_center.test_callbacks import count_of, events, settled, token
from tests.command_center.test_ingest import assert_all_as_written, until
from tests.command_center.test_lifecycle import act
from tests.command_center.test_units import on_board, send, step


async def test_every_kind_has_its_words_its_media_type_and_its_carrier(house: House) -> None:
    """A kind that lacks one is found out here, and not by the first alert that it is told of."""
    async with httpx.AsyncClient() as client:
        carriers = postman.carriers_of(client, SigningKey.generate(), house.clock)
    assert set(writer.RENDERERS) == set(store.MEDIA_TYPES) == set(carriers) == set(ReceiverKind)


async def test_hostile_words_stay_words_in_every_kind(house: House) -> None:
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
        cap_schema().validate(body.decode())
    assert all(message["Bcc"] is None for message in box.messages)


def test_text_for_receivers_is_one_plain_line() -> None:
    assert plain("a\x00b\r\nBcc: c\u202ed\ud800e\t f") == "a b Bcc: c d e f"
    assert len(plain("x" * 10_000)) == 1000


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


async def test_what_comes_off_a_shelf_is_told_like_any_alarm_and_as_another_time_to_who_knew_it(house: House) -> None:
    node = house.node()
    with listening() as desk:
        async with house.signed_in() as client:
            await add(house, "desk", desk.url)
            await house.deliver(node, node.alert(precedence=Precedence.IMMEDIATE))
            await count_of(desk, 1)
            shelf = {"node": node.id.hex(), "camera": "cam1", "label": "", "reason": "film crew", "minutes": 30}
            made = await client.post("/api/v1/shelves", json=shelf)
            await house.deliver(node, node.alert(label="rifle", precedence=Precedence.IMMEDIATE))
            await act(client, "2/notes", text="a shelved one is listed, and told to nobody")
            await settled(house, delivered=1)
            assert (await client.delete(f"/api/v1/shelves/{made.json()['shelves'][0]['id']}")).status_code == 200
            await count_of(desk, 3)
            await settled(house, delivered=3)
    said = [(json.loads(got.body)["data"]["incident"]["id"], json.loads(got.body)["type"]) for got in desk.got]
    assert said == [(1, "incident.opened"), (1, "incident.notified_again"), (2, "incident.opened")]


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
