"""Callbacks over real HTTP: signed, kept through crashes and refusals, answered by the unit, and told to the camera."""

import base64
import json
import random
import threading
import time
from datetime import datetime, tzinfo
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey, VerifyKey
from standardwebhooks import Webhook, WebhookVerificationError

from command_center.accounts import UserRole
from command_center.callbacks import guard, ladder, signing
from command_center.commands import CallbackAdd, CallbackDead, CallbackRemove
from command_center.errors import BadRequest
from relay.header import Kind
from relay.kinds.acknowledgement import Acknowledgement, AnswerState
from relay.kinds.body import decode
from relay.kinds.retraction import Ground, Retraction
from relay.precedence import Precedence
from tests.command_center.house import House, running_center
from tests.command_center.receivers import Got, Unit, listening
from tests.command_center.test_ingest import assert_all_as_written, until

SECRET = base64.b64encode(b"s" * 24).decode()


async def told(house: House, unit: Unit, name: str = "M21", *, only_flash: bool = False) -> None:
    await house.center.administration.perform(
        CallbackAdd(name=name, url=unit.url, secret=base64.b64decode(SECRET), may_be_inside=True, only_flash=only_flash)
    )


async def count_of(unit: Unit, count: int) -> None:
    async def holds() -> bool:
        return len(unit.got) >= count

    await until(holds)


async def settled(house: House, **wanted: int) -> None:
    async def holds() -> bool:
        rows = await house.query("SELECT state, COUNT(*) FROM delivery GROUP BY state")
        return {str(state): count for state, count in rows} == wanted

    await until(holds)


def events(unit: Unit) -> list[str]:
    return [json.loads(item.body)["type"] for item in unit.got]


def token(got: Got) -> str:
    url: str = json.loads(got.body)["data"]["answer_url"]
    return url.rpartition("/")[2]


async def test_incident_is_told_signed_once_and_in_order(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    class Then(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Then":
            return cls.fromtimestamp(house.clock.wall_ms() / 1000, tz)

    monkeypatch.setattr("standardwebhooks.webhooks.datetime", Then)  # the house's clock is simulated
    node = house.node()
    with listening() as unit:
        await told(house, unit)
        alert = node.alert()
        await house.deliver(node, alert, node.alert(confidence=0.95))
        await count_of(unit, 1)
        async with house.signed_in() as client:
            await client.post("/api/v1/incidents/1/acknowledge", json={"version": 1})
            taken_back = Retraction(alert_id=alert.id, ground=Ground.CONTRADICTED)
            await house.deliver(node, node.body(Kind.RETRACTION, taken_back))
            await client.post("/api/v1/incidents/1/close", json={"version": 2, "disposition": "false_alarm"})
            await count_of(unit, 4)
            key = (await client.get("/api/v1/callbacks/key")).json()["public_key"]
        await settled(house, delivered=4)
    assert events(unit) == [
        "incident.opened", "incident.acknowledged", "incident.retracted", "incident.closed"
    ]  # fmt: skip
    public = VerifyKey(base64.b64decode(key.removeprefix("whpk_")))
    for got in unit.got:
        assert Webhook(SECRET).verify(got.body, got.headers), "the reference library accepts it"
        signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
        first = got.headers["webhook-signature"].split()[0]
        public.verify(signed, base64.b64decode(first.removeprefix("v1a,")))
    assert len({got.headers["webhook-id"] for got in unit.got}) == 4
    facts = json.loads(unit.got[-1].body)["data"]["incident"]
    assert (facts["disposition"], facts["camera"], facts["precedence"]) == ("false_alarm", "cam1", "FLASH")
    await assert_all_as_written(house)


async def test_changed_body_is_not_accepted_by_the_reference_library() -> None:
    key = SigningKey(b"k" * 32)
    now_s = int(time.time())
    headers = signing.headers(key, b"s" * 24, message_id="msg_1", at_s=now_s, body=b"{}")
    assert Webhook(SECRET).verify(b"{}", headers) == {}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(b'{"a":1}', headers)


@pytest.mark.parametrize(
    "secret", [bytes(24), b"a" * 32, b"0123456789" * 3, b"changeme" * 3, b"too short", b"x" * 65]
)  # fmt: skip
def test_secrets_that_anybody_may_try_are_refused(secret: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        signing.secret_of("whsec_" + base64.b64encode(secret).decode())


def test_v1a_is_what_the_reference_implementation_signs() -> None:
    """Vector: standard-webhooks, libraries/go, TestAsymmetricWebhookSign; the Python library knows only the symmetric ``v1``."""
    seed = base64.b64decode("VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=")
    made = signing.headers(SigningKey(seed), None, message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", at_s=1614265330,
                           body=b'{"test": 2432232314}')  # fmt: skip
    assert made == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
        "webhook-signature": "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==",
    }  # fmt: skip


async def test_more_receivers_that_hang_than_a_pool_holds_delay_nobody(house: House) -> None:
    node = house.node()
    with listening() as slow, listening() as good:
        slow.hang = threading.Event()
        for number in range(70):
            await told(house, slow, f"slow{number}")
        await told(house, good, "zz-good")
        await house.deliver(node, node.alert())
        await settled(house, delivered=1, pending=70)
        assert len(good.got) == 1


async def test_what_was_not_taken_is_sent_again_with_the_same_id_and_bytes(house: House) -> None:
    node = house.node()
    with listening() as unit:
        unit.statuses = [500, 302]
        unit.headers = {"location": "http://127.0.0.1:9/elsewhere"}
        await told(house, unit)
        await house.deliver(node, node.alert(precedence=Precedence.IMMEDIATE))
        for attempt in (1, 2):
            await count_of(unit, attempt)
            await settled(house, pending=1)
            await until(lambda attempt=attempt: _attempts(house, attempt))  # type: ignore[misc]
            house.clock.advance(10_000)
        await settled(house, delivered=1)
    assert len(unit.got) == 3
    assert len({(got.headers["webhook-id"], got.body) for got in unit.got}) == 1


async def _attempts(house: House, count: int) -> bool:
    return await house.query("SELECT MAX(attempts) FROM delivery") == [(count,)]


async def test_a_receiver_that_hangs_delays_nobody_else(house: House) -> None:
    node = house.node()
    with listening() as slow, listening() as quick:
        slow.hang = threading.Event()
        await told(house, slow, "slow")
        await told(house, quick, "quick")
        await house.deliver(node, node.alert())
        await count_of(slow, 1)
        await house.deliver(node, node.alert(label="rifle"))
        await count_of(quick, 2)
        assert len(slow.got) == 1, "it still hangs on its first"


async def test_410_disables_the_receiver_and_dead_letters_can_be_sent_again(house: House) -> None:
    node = house.node()
    with listening() as unit:
        unit.statuses = [410]
        await told(house, unit)
        await house.deliver(node, node.alert())
        await settled(house, dead=1)
        async with (
            house.signed_in("aud", UserRole.AUDITOR) as auditor,
            house.signed_in("sam", UserRole.SUPERVISOR) as client,
            house.signed_in("dora") as dispatcher,
        ):
            dead = (await client.get("/api/v1/callbacks/deliveries?state=dead")).json()["deliveries"]
            assert dead[0]["last_answer"] == "HTTP 410"
            receivers = (await client.get("/api/v1/callbacks/receivers")).json()
            assert receivers[0]["disabled_why"] == "it answered 410: gone"
            assert "secret" not in json.dumps(receivers).replace("has_secret", "")
            path = f"/api/v1/callbacks/deliveries/{dead[0]['id']}/resend"
            assert (await auditor.post(path)).status_code == 403
            assert (await dispatcher.post(path)).status_code == 403
            assert (await client.post(path)).status_code == 202
            await settled(house, delivered=1)
            assert (await client.post(path)).status_code == 422
    kinds = [row[0] for row in await house.query("SELECT kind FROM entry WHERE kind LIKE 'callback-%' ORDER BY id")]
    assert kinds == ["callback-receiver-added", "callback-dead", "callback-resent", "callback-delivered"]


async def test_unit_answers_by_its_link_and_the_camera_is_told(house: House) -> None:
    node = house.node()
    with listening() as unit:
        await told(house, unit)
        await house.deliver(node, node.alert())
        await count_of(unit, 1)
        link = f"/u/{token(unit.got[0])}"
        async with house.browser() as phone:
            page = await phone.get(link)
            assert page.status_code == 200
            assert "handgun" in page.text
            assert "You said</dt><dd>nothing yet" in page.text, "opening it says nothing"
            answer = await phone.post(link, data={"state": "en_route"})
            assert answer.status_code == 303
            assert "You said</dt><dd>en route" in (await phone.get(link)).text
            assert (await phone.post(link, data={"state": "on_scene", "note": "<b>two</b>"})).status_code == 303
            assert (await phone.post(link, data={"state": "dancing"})).status_code == 422
        async with house.signed_in() as client:
            found = (await client.get("/api/v1/incidents/1")).json()
        assert [(word["unit"], word["state"]) for word in found["units"]] == [("M21", "on_scene")]
        assert ("unit-answered", "on scene: <b>two</b>") in [(m["what"], m["detail"]) for m in found["timeline"]]
    wires = await house.query("SELECT wire FROM envelope WHERE kind = ? ORDER BY number", int(Kind.ACKNOWLEDGEMENT))
    states = [_state(house, node.identity, wire) for (wire,) in wires]
    assert states == [AnswerState.EN_ROUTE, AnswerState.ON_SCENE]
    await assert_all_as_written(house)


def _state(house: House, camera: object, wire: object) -> AnswerState:
    from relay import envelope as envelopes
    from relay.identity import Identity

    assert isinstance(camera, Identity)
    assert isinstance(wire, bytes)
    secret = camera.shared_secret(house.services.identity.sealing_key)
    return decode(envelopes.open_body(envelopes.parse(wire), secret), Acknowledgement).state


async def test_links_that_are_good_for_nothing(house: House) -> None:
    node = house.node()
    with listening() as unit:
        await told(house, unit)
        await house.deliver(node, node.alert())
        await count_of(unit, 1)
        link = f"/u/{token(unit.got[0])}"
        assert await house.query("SELECT length(token_sha256) FROM capability") == [(32,)], "the token is kept nowhere"
        async with house.browser() as phone:
            assert (await phone.get("/u/guessed")).status_code == 404
            assert (await phone.post("/u/guessed", data={"state": "accepted"})).status_code == 404
            house.clock.advance(12 * 3_600_000 + 1)
            assert (await phone.get(link)).status_code == 404
            assert (await phone.post(link, data={"state": "accepted"})).status_code == 404
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'unit-answered'") == [(0,)]


async def test_closed_incident_takes_no_answer(house: House) -> None:
    node = house.node()
    with listening() as unit:
        await told(house, unit)
        await house.deliver(node, node.alert())
        await count_of(unit, 1)
        async with house.signed_in() as client:
            await client.post("/api/v1/incidents/1/acknowledge", json={"version": 1})
            await client.post("/api/v1/incidents/1/close", json={"version": 2, "disposition": "handled"})
            answer = await client.post(f"/u/{token(unit.got[0])}", data={"state": "accepted"})
    assert answer.status_code == 409
    assert "is closed" in answer.text


async def test_what_is_held_back_or_in_quarantine_or_less_urgent_is_not_told(house: House) -> None:
    node = house.node()
    with listening() as unit:
        await told(house, unit, only_flash=True)
        await house.deliver(node, node.alert(precedence=Precedence.IMMEDIATE))
        await house.deliver(node, node.alert(label="rifle"))
        await count_of(unit, 1)
        await settled(house, delivered=1)
    assert json.loads(unit.got[0].body)["data"]["incident"]["label"] == "rifle"


async def test_nothing_is_lost_over_a_restart(tmp_path: Path) -> None:
    with listening() as unit:
        unit.statuses = [503]
        async with running_center(tmp_path) as house:
            node = house.node()
            await told(house, unit)
            await house.deliver(node, node.alert())
            await count_of(unit, 1)
            await until(lambda: _attempts(house, 1))
        async with running_center(tmp_path) as again:
            again.clock.advance(10_000)
            await count_of(unit, 2)
            await settled(again, delivered=1)
    assert events(unit) == ["incident.opened", "incident.opened"]
    assert unit.got[0].body == unit.got[1].body


async def test_removed_receiver_leaves_dead_letters_that_are_not_sent(house: House) -> None:
    node = house.node()
    with listening() as unit:
        unit.statuses = [500]
        await told(house, unit)
        await house.deliver(node, node.alert())
        await until(lambda: _attempts(house, 1))
        await house.center.administration.perform(CallbackRemove(name="M21"))
        outcome = await house.center.administration.perform(CallbackDead(resend=True))
    assert "0 are sent again" in outcome.lines[-1]
    assert await house.query("SELECT state, last_answer FROM delivery") == [("dead", "its receiver was removed")]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/x", "http://[::1]/x", "http://10.0.0.1/", "http://169.254.169.254/latest/meta-data",
            "http://[::ffff:127.0.0.1]/", "http://localhost:8480/", "http://0.0.0.0/", "http://[fe80::1]/", "http://224.0.0.1/",
            "http://[64:ff9b::10.0.0.1]/", "http://[64:ff9b:1::10.0.0.1]/", "http://[2002:a00:1::]/", "http://[fec0::1]/",
            "http://[::10.0.0.1]/", "http://[fd00:ec2::254]/", "http://100.64.0.1/", "http://255.255.255.255/"],
)  # fmt: skip
async def test_addresses_inside_are_refused(url: str) -> None:
    with pytest.raises(guard.Forbidden, match="--inside"):
        await guard.target_of(url, may_be_inside=False)


@pytest.mark.parametrize("url", ["http://9.9.9.9/", "http://[2620:fe::fe]/", "http://[64:ff9b::9.9.9.9]/"])
async def test_addresses_outside_are_gone_to_as_they_were_judged(url: str) -> None:
    target = await guard.target_of(url, may_be_inside=False)
    assert target.url.startswith(url.rstrip("/").replace("9.9.9.9]", "909:909]"))


async def test_refused_address_is_a_failed_delivery_that_says_why(house: House) -> None:
    node = house.node()
    with listening() as unit:
        await house.center.administration.perform(CallbackAdd(name="M21", url=unit.url))
        await house.deliver(node, node.alert())
        await until(lambda: _attempts(house, 1))
        assert unit.got == []
    ((answer,),) = await house.query("SELECT last_answer FROM delivery")
    assert "an address inside" in str(answer)


@pytest.mark.parametrize(
    "url", ["ftp://x/", "https://", "http://a:b@units.example/", "http://x:99999/", "nonsense", "http://x:0/"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(BadRequest, match="expected a URL"):
        guard.require_url(url)


@given(st.integers(1, 40), st.integers(), st.none() | st.floats(0, 1e9))
def test_ladder_waits_long_enough_and_ends(attempts: int, seed: int, asked_s: float | None) -> None:
    wait = ladder.wait_ms(attempts, random.Random(seed), asked_s)
    assert (wait is None) == (attempts > len(ladder.STEPS_S))
    if wait is not None:
        assert 0.79 * ladder.STEPS_S[attempts - 1] * 1000 <= wait <= ladder.LONGEST_MS
        assert asked_s is None or wait >= min(asked_s, 3600) * 1000 - 1
