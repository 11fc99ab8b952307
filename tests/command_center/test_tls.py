"""TLS out of the box: the center's own certificate authority, a given certificate, and what can't be used."""

import asyncio
import shutil
import ssl
import stat
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import pytest

from command_center import certificates
from command_center.certificates import Tls
from command_center.commands import NodeInvite
from command_center.config import CenterConfig, TlsConfig
from relay import enrollment
from relay.clock import SimulatedClock, SystemClock
from relay.errors import ConfigError
from tests.command_center.house import PASSWORD, House, running_center

DAY_MS = 86_400_000


@asynccontextmanager
async def encrypted(root_dir: Path) -> AsyncIterator[House]:
    async with running_center(root_dir):
        pass
    config_file = root_dir / "center.toml"
    text = config_file.read_text(encoding="utf-8")
    assert '# mode = "own"' in text
    config_file.write_text(text.replace('# mode = "own"', 'mode = "own"'), encoding="utf-8")
    clock = SimulatedClock()
    clock.advance(time.time_ns() // 1_000_000 - clock.wall_ms())  # whoever checks a certificate looks at the real time
    async with running_center(root_dir, clock=clock) as house:
        yield house


def trusting(ca_file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca_file))


async def test_console_is_encrypted_for_whoever_trusts_the_own_authority(tmp_path: Path) -> None:
    async with encrypted(tmp_path) as house:
        assert house.center.url.startswith("https://127.0.0.1:")
        await house.add_user("alice")
        async with httpx.AsyncClient(verify=trusting(tmp_path / "tls" / "ca.pem"), base_url=house.center.url) as client:
            answer = await client.post("/api/v1/session", json={"username": "alice", "password": PASSWORD})
            assert answer.status_code == 200
            assert "secure" in answer.headers["set-cookie"].lower()
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
            assert (await client.get("/")).status_code == 200
        async with httpx.AsyncClient(base_url=house.center.url) as stranger:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await stranger.get("/healthz")
        async with httpx.AsyncClient(base_url=house.center.url.replace("https", "http")) as plain:
            with pytest.raises(httpx.HTTPError):
                await plain.get("/healthz")
        invite = NodeInvite(name="gate", role="camera", site="north", is_preapproved=True)
        made = await house.center.administration.perform(invite)
        code = msgspec.json.decode(made.data)["code"]
        enrolled = await asyncio.to_thread(enrollment.enroll, code, tmp_path / "gate", wait_s=10)
        assert enrolled.own_passport().passport.name == "gate", (
            "a node enrolls over TLS, and needs no certificate for it"
        )
    for name in ("ca.key", "server.key"):
        assert stat.S_IMODE((tmp_path / "tls" / name).stat().st_mode) == 0o600, name


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl_accepts_the_chain(tmp_path: Path) -> None:
    tls = Tls(TlsConfig(mode="own", names=("center.example", "192.0.2.7")), tmp_path, "127.0.0.1", SystemClock())
    assert tls.context.minimum_version is ssl.TLSVersion.TLSv1_2
    for check in (["-verify_hostname", "center.example"], ["-verify_ip", "192.0.2.7"]):
        done = subprocess.run(
            ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", *check, "-CAfile", str(tmp_path / "ca.pem"),
             str(tmp_path / "server.pem")], capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_own_certificate_is_renewed_in_time_and_the_authority_stays(tmp_path: Path) -> None:
    clock = SimulatedClock()
    tls = Tls(TlsConfig(mode="own"), tmp_path, "127.0.0.1", clock)
    first, authority = (tmp_path / "server.pem").read_bytes(), (tmp_path / "ca.pem").read_bytes()
    clock.advance(59 * DAY_MS)
    assert not tls.renew()
    clock.advance(2 * DAY_MS)
    assert tls.renew()
    assert (tmp_path / "server.pem").read_bytes() != first
    assert (tmp_path / "ca.pem").read_bytes() == authority
    assert not tls.renew()


def test_other_names_are_another_certificate(tmp_path: Path) -> None:
    Tls(TlsConfig(mode="own"), tmp_path, "127.0.0.1", SystemClock())
    first = (tmp_path / "server.pem").read_bytes()
    Tls(TlsConfig(mode="own"), tmp_path, "127.0.0.1", SystemClock())
    assert (tmp_path / "server.pem").read_bytes() == first
    Tls(TlsConfig(mode="own", names=("other.example",)), tmp_path, "127.0.0.1", SystemClock())
    assert (tmp_path / "server.pem").read_bytes() != first


def test_given_files_are_used_and_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        certificates.own(folder, ["localhost"], datetime.now(UTC))
    given = TlsConfig(mode="files", certificate_file=str(one / "server.pem"), key_file=str(one / "server.key"))
    assert Tls(given, tmp_path / "unused", "127.0.0.1", SystemClock()).renew() is False
    assert not (tmp_path / "unused").exists()
    mixed = TlsConfig(mode="files", certificate_file=str(one / "server.pem"), key_file=str(other / "server.key"))
    gone = TlsConfig(mode="files", certificate_file=str(one / "gone.pem"), key_file=str(one / "server.key"))
    half = TlsConfig(mode="files", certificate_file=str(one / "server.pem"))
    for config in (mixed, gone, half):
        with pytest.raises(ConfigError, match="expected"):
            Tls(config, tmp_path, "127.0.0.1", SystemClock())


def test_damaged_authority_is_said_and_not_replaced(tmp_path: Path) -> None:
    Tls(TlsConfig(mode="own"), tmp_path, "127.0.0.1", SystemClock())
    (tmp_path / "ca.key").write_bytes(b"garbage")
    (tmp_path / "server.pem").unlink()
    with pytest.raises(ConfigError, match="restore them from a backup"):
        Tls(TlsConfig(mode="own"), tmp_path, "127.0.0.1", SystemClock())
    assert (tmp_path / "ca.key").read_bytes() == b"garbage"


def test_default_is_plain_http_on_the_loopback() -> None:
    assert CenterConfig().tls.mode == "off"
    assert CenterConfig().http.startswith("127.0.0.1")
