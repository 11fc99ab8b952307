"""``/readyz`` says what fails, and fails when it does; the metrics tell each hop; the logs tell no secret."""

import base64
import contextlib
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from command_center.accounts import UserRole, totp
from command_center.demonstration.household import BIN_DIR, free_port
from command_center.liveness import LEAST_FREE_BYTES, STUCK_AFTER_MS, Liveness
from relay.clock import SimulatedClock
from relay.database import Database
from relay.identity import Identity
from tests.command_center.house import House

PASSWORD = "nine patient herons"


async def test_ready_names_what_fails(tmp_path: Path) -> None:
    clock, waiting, stored_at, free = SimulatedClock(), [0], [0], [1 << 40]
    database = Database.open(tmp_path / "center.sqlite", parts={})
    alive = Liveness(database=database, clock=clock, waiting=lambda: waiting[0], stored_at_ms=lambda: stored_at[0],
                     free_bytes=lambda _: free[0])  # fmt: skip

    async def failing() -> list[str]:
        clock.advance(2000)
        return [item.name for item in await alive.findings() if not item.is_good]

    try:
        commits = database.commits
        assert await failing() == []
        assert database.commits == commits + 1
        free[0] = LEAST_FREE_BYTES - 1
        assert await failing() == ["disk"]
        free[0] = 1 << 40
        waiting[0] = 7
        assert await failing() == [], "work that has just come is no fault"
        clock.advance(STUCK_AFTER_MS)
        assert await failing() == ["receipts"]
        stored_at[0] = clock.monotonic_ms()
        assert await failing() == [], "a long queue that moves is none either"
        waiting[0] = 0
        assert await failing() == []
    finally:
        database.close()
    assert await failing() == ["journal"], "a database that takes nothing is not ready"


async def test_ready_asked_often_writes_once_a_second(house: House) -> None:
    async with house.browser() as client:
        before = house.database.commits
        for _ in range(20):
            assert (await client.get("/readyz")).status_code == 200
        assert house.database.commits - before < 10
        house.clock.advance(1500)
        assert (await client.get("/readyz")).text == "ready\n"
        assert house.database.commits - before < 12


async def test_not_ready_is_a_503_that_tells_a_stranger_what_fails_and_whoever_may_know_how(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.services.liveness, "_free_bytes", lambda _: 5 << 20)
    house.clock.advance(1500)
    async with house.browser() as stranger:
        answer = await stranger.get("/readyz")
        assert (answer.status_code, answer.text) == (503, "not ready: disk\n")
        withdrawn = await stranger.get("/readyz", headers={"Authorization": f"Bearer heard_token_{'x' * 43}"})
        assert (withdrawn.status_code, withdrawn.text) == (503, "not ready: disk\n")
    async with house.signed_in("dee", UserRole.DISPATCHER) as dispatcher:
        assert (await dispatcher.get("/readyz")).text == "not ready: disk\n"
    async with house.signed_in("sue", UserRole.SUPERVISOR) as supervisor:
        said = (await supervisor.get("/readyz")).text
        assert f"disk: FAILS (5 MiB free under {house.database.file.parent})" in said
        assert "journal: ok (written and fsynced)" in said
    async with house.browser("127.0.0.1") as beside:
        answer = await beside.get("/readyz", headers={"Host": "localhost"})
        assert "disk: FAILS (5 MiB free" in answer.text
        proxied = await beside.get("/readyz", headers={"Host": "localhost", "X-Forwarded-For": "198.51.100.7"})
        assert proxied.text == "not ready: disk\n", "a proxy on this machine is not this machine"


async def test_metrics_hold_the_budget_of_each_hop(house: House) -> None:
    node = house.node()
    async with house.signed_in(role=UserRole.SUPERVISOR) as client:
        await house.deliver(node, node.alert(age_ms=12))
        text = (await client.get("/metrics")).text
    assert 'heard_hop_ms_bucket{hop="sighting_to_spooled",le="10"} 0' in text
    assert 'heard_hop_ms_bucket{hop="sighting_to_spooled",le="20"} 1' in text
    assert 'heard_hop_ms_count{hop="sighting_to_spooled"} 1' in text
    assert "# TYPE heard_hop_ms histogram" in text


# ---------------------------------------------------------------------- a whole journey, and its log


def test_a_failure_is_logged_without_the_values_that_it_failed_on() -> None:
    program = (
        "import logging, structlog\nfrom command_center import logs\nlogs.as_json('debug')\n"
        "def sign_in(password):\n    raise ValueError('a bug')\n"
        "for log in (structlog.get_logger('x'), logging.getLogger('uvicorn.error')):\n"
        "    try:\n        sign_in('nine patient herons')\n    except ValueError:\n        log.error('failed', exc_info=True)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60).stderr
    assert said.count("ValueError") == 2
    assert said.count("sign_in") == 2, "the way to it is there"
    assert "herons" not in said


def test_the_log_of_a_whole_journey_holds_no_secret(tmp_path: Path) -> None:
    state_dir, port = tmp_path / "center", free_port()
    secrets: dict[str, str] = {"password": PASSWORD, "wrong password": "a wrong guess of theirs"}

    def tool(*args: str | Path) -> str:
        done = subprocess.run(
            [BIN_DIR / "command-center", *args, "--state", state_dir], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    tool("init")
    (tmp_path / "password").write_text(PASSWORD)
    tool("user", "add", "ada", "--role", "administrator", "--password-file", tmp_path / "password")
    for name in ("authority.key", "identity.key"):
        seed = (state_dir / name).read_bytes()
        identity = Identity.from_seed(seed)
        for what, key in (("seed", seed), ("signing", bytes(identity.signing)), ("sealing", identity.sealing_secret)):
            secrets[f"{name} {what} hex"] = key.hex()
            secrets[f"{name} {what} base64"] = base64.b64encode(key).decode().rstrip("=")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [BIN_DIR / "command-center", "run", "--state", state_dir, "--http", f"127.0.0.1:{port}", "--listen",
             f"tcp://127.0.0.1:{free_port()}", "--log-level", "debug"], stdout=log, stderr=log,
        )  # fmt: skip
        try:
            _journey(f"http://127.0.0.1:{port}", secrets)
            secrets["invite"] = (
                tool("node", "invite", "gate", "--role", "camera", "--site", "north").split("HEARD1-")[1].split()[0]
            )
            tool("token", "add", "ada", "probe", "--scope", "incidents.read")
        finally:
            process.terminate()
            process.wait(20)
    with contextlib.closing(sqlite3.connect(state_dir / "center.sqlite")) as connection:
        secrets["password hash"] = connection.execute("SELECT password_hash FROM account").fetchone()[0]
    said = (tmp_path / "log").read_text()
    assert "command center up" in said or "command center up" in said, "there is a log to look through"
    assert "Argon2" not in said
    for what, value in secrets.items():
        assert len(value) >= 6, what
        assert value not in said, f"the log holds the {what}"
    assert len(secrets) > 20


def _journey(url: str, secrets: dict[str, str]) -> None:
    """Everything that brings a secret along: passwords, codes, tokens, cookies, and wrong ones of each."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.TransportError):
                if client.get("/healthz").is_success:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        client.post("/api/v1/session", json={"username": "ada", "password": secrets["wrong password"]})
        client.post("/api/v1/session", content=b'{"username": "ada", "password": "' + PASSWORD.encode() + b'"')
        answer = client.post("/api/v1/session", json={"username": "ada", "password": PASSWORD}).json()
        secrets["csrf"] = client.headers["X-Heard-CSRF"] = answer["csrf"]
        secrets["cookie"] = client.cookies["heard_session"]
        secrets["device"] = client.cookies["heard_device"]
        offered = client.post("/api/v1/account/second-factor").json()
        secrets["second factor"] = offered["secret"]
        code = totp.code_at(base64.b32decode(offered["secret"]), totp.step_at(time.time_ns() // 1_000_000))
        made = client.post("/api/v1/account/second-factor/confirm", json={"code": code}).json()
        secrets |= {f"recovery code {number}": text for number, text in enumerate(made["codes"])}
        secrets["second csrf"] = client.headers["X-Heard-CSRF"] = made["session"]["csrf"]
        secrets["second cookie"] = client.cookies["heard_session"]
        token = client.post("/api/v1/account/tokens", json={"name": "wall", "scopes": ["incidents.read"]}).json()
        secrets["token"] = token["secret"]
        bearer = {"Authorization": f"Bearer {token['secret']}"}
        assert httpx.get(f"{url}/api/v1/incidents", headers=bearer, trust_env=False).status_code == 200
        assert httpx.get(f"{url}/api/v1/nodes", headers=bearer, trust_env=False).status_code == 403
        secrets["stray token"] = "heard_token_" + "x" * 43
        wrong = {"Authorization": f"Bearer {secrets['stray token']}"}
        assert httpx.get(f"{url}/api/v1/incidents", headers=wrong, trust_env=False).status_code == 401
        client.get("/u/" + "capability-of-a-unit-that-nobody-has")
        secrets["capability"] = "capability-of-a-unit-that-nobody-has"
        body = {"name": "nora", "role": "dispatcher"}
        secrets["made password"] = client.post("/api/v1/accounts", json=body).json()["password"]
        client.delete("/api/v1/session")
