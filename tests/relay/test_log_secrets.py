"""Nothing secret gets into logs, metrics or status: keys, passwords, a proxy's login, and what an alert says."""

import asyncio
import base64
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from relay.emitter import EmitRequest, Emitter
from relay.passport import Role
from tests.relay.house import House
from tests.relay.test_metrics import ask

SECRET_PASSWORD, PROXY_LOGIN, WORDS = "broker-pass-7531", "proxy-login-8642", "knife-in-hand"


def forms_of(secret: bytes) -> set[str]:
    return {secret.hex(), base64.b64encode(secret).decode(), base64.b85encode(secret).decode(), repr(secret)[2:-1]}


@pytest.mark.parametrize("flag", ["--log-json", "--no-log-json"])
async def test_a_relay_with_failing_paths_tells_no_secret_anywhere(flag: str, tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    for name, role in (("center", Role.CENTER), ("yard-relay", Role.RELAY)):
        house.enroll(name, role)
    house.settle()
    state_dir, password_file, config_file = house.dir_of("yard-relay"), tmp_path / "password", tmp_path / "relay.toml"
    password_file.write_text(SECRET_PASSWORD)
    config_file.write_text(f"""
state_dir = "{state_dir}"
metrics = {{ listen = "127.0.0.1:0" }}
path = [
  {{ name = "broker", kind = "mqtt", endpoint = "mqtt://127.0.0.1:1", peer = "center", mqtt = {{ username = "heard", password_file = "{password_file}" }} }},
  {{ name = "proxied", kind = "https", endpoint = "https://localhost:1", peer = "center", https = {{ proxy = "http://user:{PROXY_LOGIN}@127.0.0.1:1" }} }},
  {{ name = "direct", endpoint = "tcp://127.0.0.1:1", peer = "center" }},
]
""")
    relay = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from relay.cli import main; main()", "run", "--config", str(config_file), flag,
        stdout=PIPE, stderr=PIPE, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert relay.stdout is not None
    assert relay.stderr is not None
    told = b""
    try:
        async with asyncio.timeout(60):
            first = await relay.stdout.readline()
            url = first.decode().rpartition("metrics at ")[2].strip()
            await asyncio.to_thread(Emitter(state_dir).emit, EmitRequest(label=WORDS[:12], camera="gate"))
            while not (b"broker" in told and b"proxied" in told):  # both have failed, and said so
                told += await relay.stderr.readline()
            _, page = await ask(url)
    finally:
        relay.send_signal(signal.SIGTERM)
        rest_out, rest_err = await relay.communicate()
    everything = (first + told + rest_out + rest_err).decode() + page
    identity = house.identities["yard-relay"]
    secrets = {SECRET_PASSWORD, PROXY_LOGIN, WORDS[:12], base64.b64encode(f"user:{PROXY_LOGIN}".encode()).decode()}
    for key in (
        identity.transport_secret,
        bytes(identity.signing),
        identity.shared_secret(house.authority.sealing_key),
    ):
        secrets |= forms_of(key)
    assert [secret for secret in secrets if secret in everything] == []
    assert relay.returncode == 0
