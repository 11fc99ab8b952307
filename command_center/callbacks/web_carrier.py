"""Signed webhooks over HTTP. A request is signed anew each time, follows no redirect, and reads nothing but the answer's status."""

from typing import Final

import httpx
from nacl.signing import SigningKey

from command_center.callbacks import guard, signing
from command_center.callbacks.carrier import Carried, Verdict
from command_center.callbacks.store import Delivery, Receiver
from relay.clock import Clock

_GONE: Final = 410
_MOST_DIGITS: Final = 9


class WebCarrier:
    """Keeps connections open between deliveries."""

    def __init__(self, client: httpx.AsyncClient, key: SigningKey, clock: Clock) -> None:
        self._client = client
        self._key = key
        self._clock = clock

    async def carry(self, receiver: Receiver, delivery: Delivery) -> Carried:
        """Send one request. 2xx is taken; 410 means never again; anything else is tried again."""
        target = await guard.target_of(receiver.url, may_be_inside=receiver.may_be_inside)
        headers = signing.headers(self._key, receiver.secret, message_id=delivery.id,
                                  at_s=self._clock.wall_ms() // 1000, body=delivery.body)  # fmt: skip
        headers |= {"content-type": "application/json", "user-agent": "heard", "host": target.host}
        extensions = {"sni_hostname": target.name}
        async with self._client.stream("POST", target.url, content=delivery.body, headers=headers,
                                       extensions=extensions) as answer:  # fmt: skip
            status = answer.status_code
            asked = answer.headers.get("retry-after", "")
        verdict = Verdict.TAKEN if 200 <= status < 300 else Verdict.GONE if status == _GONE else Verdict.AGAIN
        return Carried(verdict=verdict, words=f"HTTP {status}", asked_s=seconds_in(asked))


def seconds_in(retry_after: str) -> float | None:
    """What a receiver asks for with Retry-After, s; None where it says nothing, or a date. The ladder bounds it."""
    is_one = retry_after.isascii() and retry_after.isdecimal() and len(retry_after) <= _MOST_DIGITS
    return float(retry_after) if is_one else None


class FeedCarrier:
    """A CAP feed is fetched, not sent: what is made is published."""

    async def carry(self, receiver: Receiver, delivery: Delivery) -> Carried:
        """Nothing to do."""
        del receiver, delivery
        return Carried(verdict=Verdict.TAKEN, words="published in the feed")
