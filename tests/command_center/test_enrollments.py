"""How machines join: good codes, and every bad one."""

from pathlib import Path

import pytest

from command_center.administration import Administration
from command_center.commands import NodeApprove, NodeInvite, NodeList, NodeStanding
from command_center.enrollments import FAILURES_ALLOWED, VALIDITY_MS
from command_center.errors import BadRequest, NotFound
from command_center.state_dir import StateDir
from relay import passport as passports
from relay.clock import ClockQuality, SimulatedClock
from relay.enrollment import Enrollment, EnrollmentCode, accept_reply, build_request, parse_code
from relay.errors import EnrollmentRefused, Revoked
from relay.identity import Identity
from relay.trust import TrustBook
from tests.command_center.house import House, running_center


async def invite(
    house: House, name: str = "gate", *, approved: bool = False, minutes: float = 10, is_again: bool = False
) -> EnrollmentCode:
    command = NodeInvite(
        name=name, role="camera", site="north", minutes=minutes, is_preapproved=approved, is_again=is_again
    )
    outcome = await house.center.administration.perform(command)
    line = next(line for line in outcome.lines if "camera-node enroll" in line)
    return parse_code(line.split()[2])


async def post(house: House, data: bytes, address: str = "192.0.2.5") -> tuple[int, bytes]:
    async with house.browser(address) as client:
        answer = await client.post("/api/v1/enrollments", content=data)
    return answer.status_code, answer.content


async def test_machine_joins_after_approval_and_its_passport_holds(house: House) -> None:
    code, identity = await invite(house), Identity.generate()
    assert code.url == house.center.url
    status, data = await post(house, build_request(code, identity))
    assert status == 202
    assert accept_reply(data, code, identity) is None
    await house.center.administration.perform(NodeApprove(name="gate"))
    status, data = await post(house, build_request(code, identity))
    enrollment = accept_reply(data, code, identity)
    assert enrollment is not None
    own = enrollment.own_passport().passport
    assert (own.name, own.site, own.serial) == ("gate", "north", 2)
    peers = [passports.verify(wire, enrollment.authority_signing_key).passport.name for wire in enrollment.peers]
    assert peers == ["center"]
    assert await house.query("SELECT name, standing FROM node") == [("gate", "approved")]


async def test_preapproved_machine_joins_at_once_and_may_ask_again_if_the_reply_was_lost(house: House) -> None:
    code, identity = await invite(house, approved=True), Identity.generate()
    replies = [await post(house, build_request(code, identity)) for _ in range(3)]
    assert {status for status, _ in replies} == {200}
    assert len({data for _, data in replies}) == 1
    assert await house.query("SELECT COUNT(*) FROM node") == [(1,)]


async def test_code_is_good_for_one_machine_only(house: House) -> None:
    code = await invite(house, approved=True)
    assert (await post(house, build_request(code, Identity.generate())))[0] == 200
    status, data = await post(house, build_request(code, Identity.generate()))
    assert status == 403
    assert b"used by another machine" in data


async def test_expired_code_is_refused(house: House) -> None:
    code = await invite(house, minutes=10)
    house.clock.advance(10 * 60_000 + 1)
    status, data = await post(house, build_request(code, Identity.generate()))
    assert (status, b"expired" in data) == (403, True)


async def test_forged_requests_are_refused_and_journalled(house: House) -> None:
    code, identity = await invite(house), Identity.generate()
    wrong_secret = EnrollmentCode(
        url=code.url, fingerprint=code.fingerprint, invite_id=code.invite_id, secret=bytes(16)
    )
    unknown = EnrollmentCode(url=code.url, fingerprint=code.fingerprint, invite_id=bytes(8), secret=code.secret)
    good = build_request(code, identity)
    stolen_key = good.replace(identity.sealing_key.hex().encode(), Identity.generate().sealing_key.hex().encode())
    assert stolen_key != good
    for data in (build_request(wrong_secret, identity), build_request(unknown, identity), stolen_key, b"{}", b"\xff"):
        status, reply = await post(house, data)
        assert status == 403
        with pytest.raises(EnrollmentRefused):
            accept_reply(reply, code, identity)
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'enrollment-refused'") == [(5,)]
    assert (await post(house, good))[0] == 202, "the invite must still be good for its owner"


async def test_guessing_is_limited_by_address(house: House) -> None:
    code = await invite(house, approved=True)
    for _ in range(FAILURES_ALLOWED):
        await post(house, b"{}")
    good = build_request(code, Identity.generate())
    assert b"too many" in (await post(house, good))[1]
    assert (await post(house, good, "192.0.2.77"))[0] == 200


async def test_names_are_given_once(house: House) -> None:
    code = await invite(house, approved=True)
    await post(house, build_request(code, Identity.generate()))
    with pytest.raises(BadRequest, match="choose another name"):
        await invite(house)
    with pytest.raises(NotFound, match="must run its enroll command first"):
        await house.center.administration.perform(NodeApprove(name="nobody"))


async def test_revoked_node_is_named_in_a_roster_that_outlives_a_restart(tmp_path: Path) -> None:
    async with running_center(tmp_path / "c") as house:
        node = house.node()
        await house.deliver(node, node.alert())
        office: Administration = house.center.administration
        await office.perform(NodeStanding(name="gate", standing="revoked", reason="stolen"))
        assert house.center.station.trust.is_revoked(node.id)
        with pytest.raises(BadRequest, match="revoked for good"):
            await office.perform(NodeStanding(name="gate", standing="approved"))
        listed = await office.perform(NodeList())
        assert "revoked" in listed.lines[0]
        await house.query("DELETE FROM roster")  # as if the center had been stopped before its station kept it
    async with running_center(tmp_path / "c") as house:
        assert house.center.station.trust.is_revoked(node.id)


async def test_quarantine_and_reinstatement(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert(camera="a"))
    await house.center.administration.perform(NodeStanding(name="gate", standing="quarantined", reason="odd"))
    await house.deliver(node, node.alert(camera="b"))
    await house.center.administration.perform(NodeStanding(name="gate", standing="approved"))
    await house.deliver(node, node.alert(camera="c"))
    rows = await house.query("SELECT camera, is_quarantined FROM incident ORDER BY id")
    assert rows == [("a", 0), ("b", 1), ("c", 0)]


async def test_name_that_was_given_away_meanwhile_is_refused_in_words(house: House) -> None:
    code = await invite(house, "gate", approved=True)
    node = house.node("gate")
    await house.deliver(node, node.alert())
    status, data = await post(house, build_request(code, Identity.generate()))
    assert (status, b"choose another name" in data) == (403, True)


async def enrolled(house: House, code: EnrollmentCode, identity: Identity) -> Enrollment:
    _, data = await post(house, build_request(code, identity))
    reply = accept_reply(data, code, identity)
    assert reply is not None
    return reply


async def test_a_passport_that_ends_is_renewed_for_the_machine_that_has_it_and_nobody_else(house: House) -> None:
    identity, stranger = Identity.generate(), Identity.generate()
    first = (await enrolled(house, await invite(house, approved=True), identity)).own_passport().passport
    house.center.station.trust.admit(
        (await enrolled(house, await invite(house, "yard", approved=True), stranger)).passport
    )
    house.clock.advance(VALIDITY_MS + 1)
    code = await invite(house, approved=True, is_again=True)
    renewed = await enrolled(house, code, identity)
    second = renewed.own_passport().passport
    assert (second.node_id, second.name) == (first.node_id, "gate")
    assert second.not_after_ms - first.not_after_ms == VALIDITY_MS + 1
    passports.require_valid_at(second, house.clock.wall_ms())
    with pytest.raises(Revoked, match="ended on"):
        passports.require_valid_at(first, house.clock.wall_ms())
    assert house.center.station.trust.admit(renewed.passport).passport == second, "the newer one is believed"
    code = await invite(house, approved=True, is_again=True)
    status, data = await post(house, build_request(code, stranger))
    assert (status, b"there is a node 'gate' already" in data) == (403, True)
    assert await house.query("SELECT COUNT(*) FROM node WHERE name = 'gate'") == [(1,)]


async def test_only_a_passport_that_counts_is_renewed(house: House) -> None:
    with pytest.raises(BadRequest, match="no node 'gate' whose passport could be renewed: leave --again out"):
        await invite(house, is_again=True)
    await enrolled(house, await invite(house, approved=True), Identity.generate())
    office: Administration = house.center.administration
    await office.perform(NodeStanding(name="gate", standing="quarantined", reason="odd"))
    with pytest.raises(BadRequest, match="reinstate it before"):
        await invite(house, is_again=True)
    await office.perform(NodeStanding(name="gate", standing="approved"))
    with pytest.raises(BadRequest, match="expected role camera for 'gate', found relay"):
        await office.perform(NodeInvite(name="gate", role="relay", site="north", is_again=True))
    await office.perform(NodeStanding(name="gate", standing="revoked", reason="stolen"))
    with pytest.raises(BadRequest, match="no node 'gate'"):
        await invite(house, is_again=True)


async def test_withdrawn_keys_come_in_under_no_name(house: House) -> None:
    """Relays go on refusing them, so that the machine would count as let in and reach nobody."""
    identity = Identity.generate()
    await enrolled(house, await invite(house, approved=True), identity)
    await house.center.administration.perform(NodeStanding(name="gate", standing="revoked", reason="stolen"))
    status, data = await post(house, build_request(await invite(house, approved=True), identity))
    assert (status, b"withdrawn for good" in data) == (403, True)
    code = await invite(house, "yard")
    await post(house, build_request(code, identity))
    with pytest.raises(BadRequest, match="a new, empty --state folder"):
        await house.center.administration.perform(NodeApprove(name="yard"))
    assert await house.query("SELECT standing FROM node") == [("revoked",)]


async def test_a_center_renews_its_own_passport_at_a_start_in_the_second_half_of_its_time(tmp_path: Path) -> None:
    clock = SimulatedClock()
    node_book = None
    for age_ms, serial in ((0, 1), (VALIDITY_MS // 2 - 1_000, 1), (2_000, 2), (1_000, 2), (VALIDITY_MS, 3)):
        clock.advance(age_ms)
        async with running_center(tmp_path / "c", clock=clock) as house:
            own = house.center.station.passport
            assert own.serial == serial
            passports.require_valid_at(own, clock.wall_ms())
            wire = Enrollment.load(tmp_path / "c").passport
            node_book = node_book or TrustBook(authority=house.services.issuer.keys, clock=clock)
            assert node_book.admit(wire).passport == own, "a node that knew the one before believes this one"
            assert node_book.passport_of(own.node_id) == own
            assert house.services.issuer.center_passport == wire, "what machines that enroll from now on are given"


async def test_a_clock_that_was_never_set_renews_nothing(tmp_path: Path) -> None:
    clock = SimulatedClock()
    async with running_center(tmp_path / "c", clock=clock):
        pass
    clock.step_wall(clock.wall_ms() + VALIDITY_MS, ClockQuality.UNSET)
    assert StateDir(tmp_path / "c").renew_own_passport(clock) is None
    clock.step_wall(clock.wall_ms(), ClockQuality.FREE_RUNNING)
    assert StateDir(tmp_path / "c").renew_own_passport(clock) == clock.wall_ms() + VALIDITY_MS
