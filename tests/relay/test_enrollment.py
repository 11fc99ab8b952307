"""Joining: the code pins the authority, the secret never travels, an administrator approves, and nothing else works."""

import contextlib
import errno
import http.server
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay import enrollment
from relay import passport as passports
from relay.enrollment import (
    Enrollment,
    EnrollmentCode,
    EnrollmentReply,
    accept_reply,
    build_request,
    check_request,
    enroll,
    make_code,
    parse_code,
)
from relay.errors import BadSignature, EnrollmentRefused, HeardError, KeyFileError, Malformed, NetworkError
from relay.identity import AuthorityKeys, Identity
from relay.passport import Role

AUTHORITY = Identity.from_seed(b"A" * 32)
IMPOSTOR = Identity.from_seed(b"I" * 32)
CENTER = Identity.from_seed(b"C" * 32)
SECRET = bytes(range(16))
INVITE = b"invite-1"


def keys_of(identity: Identity) -> AuthorityKeys:
    return AuthorityKeys(signing_key=identity.signing_key, sealing_key=identity.sealing_key)


def code_for(url: str = "http://center:8480") -> EnrollmentCode:
    return parse_code(make_code(url, keys_of(AUTHORITY), INVITE, SECRET))


def secret_of(invite_id: bytes) -> bytes | None:
    return SECRET if invite_id == INVITE else None


def passport_for(
    keys: tuple[bytes, bytes, bytes],
    authority: Identity = AUTHORITY,
    name: str = "gate-camera",
    role: Role = Role.CAMERA,
) -> bytes:
    return passports.issue(authority.signing, role=role, name=name, site="yard", agency="city", keys=keys,
                           not_before_ms=0, not_after_ms=1 << 47, serial=5).wire  # fmt: skip


def public(identity: Identity) -> tuple[bytes, bytes, bytes]:
    return identity.signing_key, identity.sealing_key, identity.transport_key


def reply_to(identity: Identity, *, authority: Identity = AUTHORITY, passport: bytes | None = None,
             peers: tuple[bytes, ...] | None = None) -> bytes:  # fmt: skip
    import msgspec

    return msgspec.json.encode(EnrollmentReply(
        state="approved", passport=passport or passport_for(public(identity), authority),
        authority=enrollment.AuthorityHex(signing_key=authority.signing_key.hex(), sealing_key=authority.sealing_key.hex()),
        peers=(passport_for(public(CENTER), authority, "center", Role.CENTER),) if peers is None else peers,
    ))  # fmt: skip


def test_request_proves_the_code_and_the_keys_without_showing_the_secret() -> None:
    node = Identity.generate()
    data = build_request(code_for(), node)
    checked = check_request(data, secret_of)
    assert (checked.invite_id, checked.signing_key, checked.sealing_key, checked.transport_key) == (
        INVITE,
        *public(node),
    )
    assert SECRET.hex() not in data.decode()
    for secret in (node.seed, node.sealing_secret, node.transport_secret):
        assert secret.hex() not in data.decode()


def with_field(data: bytes, name: str, value: str) -> bytes:
    return json.dumps({**json.loads(data), name: value}).encode()


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda d: with_field(d, "proof", "00" * 32), EnrollmentRefused),
        (lambda d: with_field(d, "invite_id", b"invite-2".hex()), EnrollmentRefused),
        (lambda d: with_field(d, "transport_key", "00" * 32), EnrollmentRefused),
        (lambda d: with_field(d, "signature", "00" * 64), BadSignature),
        (lambda d: with_field(d, "signature", "zz" * 64), Malformed),
        (lambda d: with_field(d, "more", "x"), Malformed),
        (lambda d: d[:-1], Malformed),
        (lambda _: b"\xff\xfe", Malformed),
    ],
)
def test_changed_request_is_refused(change: Callable[[bytes], bytes], refusal: type[HeardError]) -> None:
    with pytest.raises(refusal):
        check_request(change(build_request(code_for(), Identity.generate())), secret_of)


def test_wrong_secret_is_refused_without_saying_which_part_was_wrong() -> None:
    wrong = parse_code(make_code("http://center:8480", keys_of(AUTHORITY), INVITE, b"x" * 16))
    unknown = parse_code(make_code("http://center:8480", keys_of(AUTHORITY), b"invite-9", SECRET))
    said = set()
    for code in (wrong, unknown):
        with pytest.raises(EnrollmentRefused) as refusal:
            check_request(build_request(code, Identity.generate()), secret_of)
        said.add(str(refusal.value))
    assert len(said) == 1


def test_honest_reply_is_accepted_and_kept(tmp_path: Path) -> None:
    node = Identity.generate()
    accepted = accept_reply(reply_to(node), code_for(), node)
    assert accepted is not None
    accepted.save(tmp_path)
    loaded = Enrollment.load(tmp_path)
    assert loaded == accepted
    assert loaded.authority == keys_of(AUTHORITY)
    assert loaded.own_passport().passport.node_id == node.node_id


def test_reply_of_another_authority_is_refused() -> None:
    node = Identity.generate()
    with pytest.raises(EnrollmentRefused, match="is not the authority that this code pins"):
        accept_reply(reply_to(node, authority=IMPOSTOR), code_for(), node)
    half = AuthorityKeys(signing_key=AUTHORITY.signing_key, sealing_key=IMPOSTOR.sealing_key)
    assert half.fingerprint != keys_of(AUTHORITY).fingerprint, "the key that bodies are sealed for is pinned too"


def test_tampered_or_foreign_passport_is_refused() -> None:
    node, other = Identity.generate(), Identity.generate()
    good = passport_for(public(node))
    cases: list[tuple[bytes, type[HeardError]]] = [
        (good[:40] + bytes([good[40] ^ 1]) + good[41:], HeardError),
        (passport_for(public(node), IMPOSTOR), BadSignature),
        (passport_for(public(other)), EnrollmentRefused),
        (passport_for((node.signing_key, node.sealing_key, other.transport_key)), EnrollmentRefused),
        (passport_for((node.signing_key, other.sealing_key, node.transport_key)), EnrollmentRefused),
    ]
    for wire, refusal in cases:
        with pytest.raises(refusal):
            accept_reply(reply_to(node, passport=wire), code_for(), node)
    with pytest.raises(BadSignature):
        accept_reply(reply_to(node, peers=(passport_for(public(CENTER), IMPOSTOR),)), code_for(), node)


@pytest.mark.parametrize(
    "data", [b"", b"<html>404</html>", b'{"state": "approved"}', b'{"state": "maybe"}', b"[" * 9999]
)
def test_reply_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(EnrollmentRefused):
        accept_reply(data, code_for(), AUTHORITY)


# ------------------------------------------------------------------------------------------------ over HTTP


class _Center(http.server.BaseHTTPRequestHandler):
    answers: list[Callable[[bytes], tuple[int, bytes]]]
    asked: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/api/v1/enrollments"
        self.asked.append(body)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        status, data = answer(body)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is http.server's
        """Say nothing."""


@contextlib.contextmanager
def center_that(*answers: Callable[[bytes], tuple[int, bytes]]) -> Iterator[tuple[str, list[bytes]]]:
    asked: list[bytes] = []
    handler = type("_ThisCenter", (_Center,), {"answers": list(answers), "asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, name="test center")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def pending(_: bytes) -> tuple[int, bytes]:
    return 200, b'{"state": "pending", "message": "an administrator must approve"}'


def approved(body: bytes) -> tuple[int, bytes]:
    asked = check_request(body, secret_of)
    keys = (asked.signing_key, asked.sealing_key, asked.transport_key)
    return 200, reply_to(AUTHORITY, passport=passport_for(keys))


@pytest.fixture(autouse=True)
def _polls_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrollment, "_POLL_S", 0.01)


def test_machine_waits_for_its_approval_and_keeps_its_keys(tmp_path: Path) -> None:
    with center_that(pending, pending, approved) as (url, asked):
        code = make_code(url, keys_of(AUTHORITY), INVITE, SECRET)
        enrolled = enroll(code, tmp_path, wait_s=10)
        assert len(asked) == 3
        assert len({check_request(body, secret_of).signing_key for body in asked}) == 1
        identity = Identity.load(tmp_path / "identity.key")
        assert enrolled.own_passport().passport.node_id == identity.node_id
        assert (tmp_path / "identity.key").stat().st_mode & 0o777 == 0o600
        again = enroll(code, tmp_path, wait_s=10)
        assert again.own_passport().passport.signing_key == identity.signing_key, "enrolling again keeps the keys"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda _: (200, b'{"state": "refused", "message": "the invite has expired"}'), "the invite has expired"),
        (lambda _: (403, b'{"message": "used up"}'), "answered 403: used up"),
        (lambda _: (404, b"not here"), "answered 404: not here"),
        (lambda _: (200, b"<html>"), "expected an enrollment reply"),
        (pending, "nobody approved within 0 s"),
    ],
)
def test_refusal_is_one_clear_line_and_leaves_no_enrollment(
    tmp_path: Path, answer: Callable[[bytes], tuple[int, bytes]], says: str
) -> None:
    with center_that(answer) as (url, _), pytest.raises(EnrollmentRefused, match=says) as refusal:
        enroll(make_code(url, keys_of(AUTHORITY), INVITE, SECRET), tmp_path, wait_s=0.05)
    assert "\n" not in str(refusal.value)
    with pytest.raises(KeyFileError, match="found none"):
        Enrollment.load(tmp_path)


def test_man_in_the_middle_can_only_break_it_off(tmp_path: Path) -> None:
    def swapped(body: bytes) -> tuple[int, bytes]:
        asked = check_request(body, secret_of)
        keys = (asked.signing_key, asked.sealing_key, asked.transport_key)
        return 200, reply_to(IMPOSTOR, authority=IMPOSTOR, passport=passport_for(keys, IMPOSTOR))

    with center_that(swapped) as (url, _), pytest.raises(EnrollmentRefused, match="somebody stands in between"):
        enroll(make_code(url, keys_of(AUTHORITY), INVITE, SECRET), tmp_path, wait_s=1)
    assert not (tmp_path / "enrollment.msgpack").exists()


def test_unreachable_center_is_a_matter_of_the_network(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(NetworkError, match="can't reach the command center"):
            enroll(make_code(url, keys_of(AUTHORITY), INVITE, SECRET), tmp_path, wait_s=1)


def test_other_program_behind_the_address_is_told(tmp_path: Path) -> None:
    """Somebody gave the port of the ZeroMQ listener instead of the console's."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x01CURVE" + bytes(50) + b"\r\n")
                connection.recv(10_000)

        thread = threading.Thread(target=greet)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(NetworkError, match="can't reach the command center"):
            enroll(make_code(url, keys_of(AUTHORITY), INVITE, SECRET), tmp_path, wait_s=1)
        thread.join()


@pytest.mark.parametrize(
    "code", ["", "HEARD1-", "HEARD2-ABC", "HEARD1-é", "HEARD1-ÄÖÜ=", "HEARD1-!!!!", "HEARD1-AAAA", "HEARD1-A"]
)
def test_garbage_is_no_code(code: str) -> None:
    with pytest.raises(EnrollmentRefused):
        parse_code(code)


@pytest.mark.parametrize("url", ["ftp://center", "file:///etc/passwd", "http://[bad", "http://a b", "http://:x"])
def test_code_with_another_kind_of_address_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises((EnrollmentRefused, NetworkError)):
        enroll(make_code(url, keys_of(AUTHORITY), INVITE, SECRET), tmp_path, wait_s=0)


@pytest.mark.parametrize("content", [b"", b"\x94\xc4", b"\xff" * 50])
def test_damaged_enrollment_file_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "enrollment.msgpack").write_bytes(content)
    with pytest.raises(KeyFileError, match="enroll this machine anew"):
        Enrollment.load(tmp_path)


def test_the_folder_that_keys_are_made_in_is_its_owner_s_alone(tmp_path: Path) -> None:
    """Beside the keys come a spool, clips and a configuration with passwords."""
    Identity.generate().save(tmp_path / "node" / "identity.key")
    assert (tmp_path / "node").stat().st_mode & 0o777 == 0o700


def test_keys_are_whole_or_not_there_and_never_take_a_file_s_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file = tmp_path / "node" / "identity.key"
    synced: list[int] = []

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(KeyFileError, match=r"identity.key: No space left on device"):
            Identity.generate().save(key_file)
    assert synced, "the disk was asked"
    assert list(key_file.parent.iterdir()) == [], "an empty file would be taken for damaged keys at the next try"
    first = Identity.generate()
    first.save(key_file)
    with pytest.raises(KeyFileError, match="never overwritten"):
        Identity.generate().save(key_file)
    assert Identity.load(key_file).node_id == first.node_id
    assert [file.name for file in key_file.parent.iterdir()] == ["identity.key"]


def test_a_place_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyFileError, match=r"can't write .*: Not a directory"):
        Identity.generate().save(tmp_path / "file" / "node" / "identity.key")
    half = Enrollment(authority_signing_key=b"", authority_sealing_key=b"", passport=b"", peers=())
    with pytest.raises(KeyFileError, match="enroll with the same code again"):
        half.save(tmp_path / "none")
