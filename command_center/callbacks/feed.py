"""A CAP feed as others fetch it: an Atom index of one receiver's messages, and each message as it was made."""

import hashlib
import sqlite3
from typing import Final
from xml.etree import ElementTree as ET

from command_center.callbacks import cap, store
from command_center.callbacks.kinds import ReceiverKind
from command_center.callbacks.store import Receiver
from command_center.callbacks.told import iso
from command_center.errors import NotFound

_ATOM: Final = "http://www.w3.org/2005/Atom"
_CAP: Final = f"{{{cap.NAMESPACE}}}"
_MOST: Final = 200


def receiver_of(connection: sqlite3.Connection, token: str) -> Receiver:
    """Whose feed this address is.

    Raises:
        NotFound: nobody's, or nobody's any more.
    """
    digest = hashlib.sha256(token.encode()).hexdigest()
    for receiver in store.receivers(connection):
        if receiver.kind is ReceiverKind.CAP and receiver.options.token_sha256 == digest:
            return receiver
    raise NotFound("there is no feed at this address: ask the command center for a new one")


def index(connection: sqlite3.Connection, receiver: Receiver, base_url: str, now_ms: int) -> bytes:
    """The Atom feed, the latest message first. ``base_url`` is the feed's own, without ``/feed.xml``."""
    rows = connection.execute(
        "SELECT id, body, created_at_ms FROM delivery WHERE receiver = ? AND state = 'delivered' AND media_type = ? "
        "ORDER BY number DESC LIMIT ?",
        (receiver.name, cap.MEDIA_TYPE, _MOST),
    ).fetchall()
    feed = ET.Element("feed", xmlns=_ATOM)
    ET.SubElement(feed, "id").text = f"urn:heard:cap:{receiver.options.sender}:{receiver.name}"
    ET.SubElement(feed, "title").text = f"Alerts for {receiver.name}"
    ET.SubElement(feed, "updated").text = iso(rows[0][2] if rows else now_ms)
    ET.SubElement(ET.SubElement(feed, "author"), "name").text = receiver.options.sender
    ET.SubElement(feed, "link", rel="self", href=f"{base_url}/feed.xml")
    for number, body, created_at_ms in rows:
        alert = ET.fromstring(body)  # noqa: S314  our own bytes, from our own outbox
        entry = ET.SubElement(feed, "entry")
        ET.SubElement(entry, "id").text = f"urn:heard:cap:{number}"
        kind, headline = alert.findtext(f"{_CAP}msgType", ""), alert.findtext(f"{_CAP}info/{_CAP}headline", "")
        ET.SubElement(entry, "title").text = f"{kind}: {headline}"
        ET.SubElement(entry, "updated").text = iso(created_at_ms)
        ET.SubElement(entry, "link", rel="alternate", type=cap.MEDIA_TYPE, href=f"{base_url}/{number}.xml")
    made: bytes = ET.tostring(feed, encoding="utf-8", xml_declaration=True)
    return made


def message(connection: sqlite3.Connection, receiver: Receiver, number: str) -> bytes:
    """One message, byte for byte as it was made.

    Raises:
        NotFound: this feed has none of this id.
    """
    row = connection.execute(
        "SELECT body FROM delivery WHERE id = ? AND receiver = ? AND state = 'delivered' AND media_type = ?",
        (number, receiver.name, cap.MEDIA_TYPE),
    ).fetchone()
    if row is None:
        raise NotFound("there is no such message in this feed")
    body: bytes = row[0]
    return body
