"""``/api/v1/callbacks``: who is told, what was told, and what could not be."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from command_center.api.access import CallbackReader, CallbackResender, Parts
from command_center.api.shapes import CallbackDeliveries, CallbackDelivery, CallbackKey, CallbackReceiver, Problem
from command_center.callbacks import store
from command_center.callbacks.store import Delivery

router = APIRouter(
    prefix="/api/v1/callbacks", tags=["callbacks"], responses={401: {"model": Problem}, 403: {"model": Problem}}
)


@router.get("/key")
async def key(parts: Parts) -> CallbackKey:
    """The public key that receivers check with. It is no secret: no sign-in is asked for."""
    return CallbackKey(public_key=parts.postman.public_key)


@router.get("/receivers")
async def receivers(_: CallbackReader, parts: Parts) -> list[CallbackReceiver]:
    """Who is told. Secrets are never shown."""
    found = await parts.readers.run(store.receivers)
    return [CallbackReceiver(name=item.name, url=item.url, only_flash=item.only_flash, may_be_inside=item.may_be_inside,
                             has_secret=item.secret is not None, disabled_why=item.disabled_why, kind=item.kind.value,
                             only_called=item.only_called) for item in found]  # fmt: skip


@router.get("/deliveries")
async def deliveries(
    _: CallbackReader, parts: Parts, state: Literal["pending", "delivered", "dead"] | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> CallbackDeliveries:  # fmt: skip
    """What was told, the latest first; ``state=dead`` are the dead letters."""
    found = await parts.readers.run(lambda connection: store.deliveries(connection, state=state, limit=limit))
    return CallbackDeliveries(deliveries=[_shape(item) for item in found])


@router.post(
    "/deliveries/{delivery_id}/resend", status_code=202, responses={404: {"model": Problem}, 422: {"model": Problem}}
)
async def resend(delivery_id: str, person: CallbackResender, parts: Parts) -> CallbackDeliveries:
    """Try a dead one again, now. Supervisors and administrators; an auditor only looks."""
    await parts.dispatch.resend_callback(delivery_id, person)
    return await deliveries(person, parts, None, 200)


def _shape(item: Delivery) -> CallbackDelivery:
    return CallbackDelivery(id=item.id, receiver=item.receiver, event=item.event, incident=item.incident,
                            created_at_ms=item.created_at_ms, attempts=item.attempts, next_at_ms=item.next_at_ms,
                            state=item.state, last_answer=item.last_answer)  # fmt: skip
