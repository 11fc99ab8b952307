"""The CAP 1.2 feed against the OASIS schema."""

from xml.etree import ElementTree as ET

from command_center.callbacks.kinds import Options
from relay.header import Kind
from relay.kinds.retraction import Ground, Retraction
from tests.command_center.cap_schema import CAP, cap_schema
from tests.command_center.house import House
from tests.command_center.receivers import add
from tests.command_center.test_callbacks import settled
from tests.command_center.test_ingest import assert_all_as_written
from tests.command_center.test_units import on_board, send


async def test_cap_feed_is_valid_and_each_message_refers_to_those_before(house: House) -> None:
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
            cap_schema().validate(answer.text)
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
