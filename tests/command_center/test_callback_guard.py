"""Callback addresses that lead inside by a way around: a redirect, a name of two minds, a name that changes its mind in between (SSRF)."""

import socket
from typing import Any

import httpx
import pytest

from command_center.callbacks import guard
from command_center.callbacks.carrier import Verdict
from command_center.callbacks.store import Delivery, Receiver
from command_center.callbacks.web_carrier import WebCarrier
from relay.clock import SimulatedClock
from relay.identity import Identity
from tests.command_center.house import House
from tests.command_center.receivers import listening
from tests.command_center.test_callbacks import told
from tests.command_center.test_ingest import until

OUTSIDE, INSIDE = "9.9.9.9", "169.254.169.254"


class Names:
    """A name server that answers each question with the next answer, and counts."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self.answers, self.asked = list(answers), 0

    def look(self, _name: str, port: int, **_: Any) -> list[Any]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]


def named(monkeypatch: pytest.MonkeyPatch, *answers: tuple[str, ...]) -> Names:
    names = Names(*answers)
    monkeypatch.setattr("command_center.callbacks.guard.socket.getaddrinfo", names.look)
    return names


@pytest.mark.parametrize("answer", [(OUTSIDE, INSIDE), (INSIDE, OUTSIDE), (INSIDE,)])
async def test_a_name_is_refused_if_any_of_its_addresses_is_inside(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[str, ...]
) -> None:
    named(monkeypatch, answer)
    with pytest.raises(guard.Forbidden, match=INSIDE):
        await guard.target_of("https://units.example/heard", may_be_inside=False)


async def test_a_name_that_changes_its_mind_after_it_was_judged_leads_where_it_was_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names, gone_to = named(monkeypatch, (OUTSIDE,), (INSIDE,)), list[httpx.Request]()

    async def answer(request: httpx.Request) -> httpx.Response:
        gone_to.append(request)
        return httpx.Response(204)

    receiver = Receiver(name="M21", url="https://units.example/heard", secret=None, only_flash=False, may_be_inside=False, disabled_why="")  # fmt: skip
    delivery = Delivery(number=1, id="msg_1", receiver="M21", event="incident.opened", incident=1, body=b"{}", created_at_ms=0,
                        attempts=0, next_at_ms=0, state="pending", last_answer="")  # fmt: skip
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        carried = await WebCarrier(client, Identity.generate().signing, SimulatedClock()).carry(receiver, delivery)
    assert carried.verdict is Verdict.TAKEN
    assert names.asked == 1, "asked again, it would have led inside"
    (request,) = gone_to
    assert request.url.host == OUTSIDE
    assert request.headers["host"] == "units.example"
    assert request.extensions["sni_hostname"] == "units.example", "the certificate is still checked for its name"


async def test_a_receiver_that_sends_us_elsewhere_is_not_followed(house: House) -> None:
    node = house.node()
    with listening() as elsewhere, listening() as receiver:
        receiver.statuses, receiver.headers = [307], {"location": elsewhere.url}
        await told(house, receiver)
        await house.deliver(node, node.alert())

        async def has_answered() -> bool:
            return await house.query("SELECT attempts, state, last_answer FROM delivery") == [
                (1, "pending", "HTTP 307")
            ]

        await until(has_answered)
        assert len(receiver.got) == 1
        assert elsewhere.got == []


@pytest.mark.parametrize(("url", "host", "name"), [
    ("https://units.example/heard", "units.example", "units.example"), ("https://units.example:8443/", "units.example:8443", "units.example"),
    ("https://9.9.9.9/", "9.9.9.9", "9.9.9.9"), ("https://[2620:fe::fe]/", "[2620:fe::fe]", "2620:fe::fe"),
    ("https://[2620:fe::fe]:8443/", "[2620:fe::fe]:8443", "2620:fe::fe"),
])  # fmt: skip
async def test_a_receiver_is_named_to_itself_and_its_certificate_is_asked_for_that_name(
    monkeypatch: pytest.MonkeyPatch, url: str, host: str, name: str
) -> None:
    named(monkeypatch, (OUTSIDE,))
    target = await guard.target_of(url, may_be_inside=False)
    assert (target.host, target.name) == (host, name)
