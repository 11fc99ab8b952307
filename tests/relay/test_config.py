"""A relay's configuration as somebody writes it: each mistake is one line with its place, what is known there, and what was found."""

from pathlib import Path

import msgspec
import pytest

from relay.config import PathConfig, RelayConfig, load
from relay.counters import Counters
from relay.errors import ConfigError
from relay.identity import Identity
from relay.path import PathFacts
from relay.paths.https import HttpsDial
from relay.paths.https_listen import HttpsListen
from relay.paths.zeromq import ZeroMqDial, ZeroMqListen

GOOD = """
state_dir = "."
heartbeat_interval_s = 10

[[listen]]
endpoint = "tcp://0.0.0.0:5701"

[[path]]
name = "broadband"
kind = "zeromq"
endpoint = "tcp://127.0.0.1:5700"
peer = "command-center"
metered = true
[path.budget]
day_bytes = 5_000_000
[path.marking]
urgent = "EF"
"""


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "relay.toml"
    file.write_text(text)
    return file


def test_a_good_file_is_read(tmp_path: Path) -> None:
    config = load(write(tmp_path, GOOD), RelayConfig)
    assert config.path[0].budget.day_bytes == 5_000_000
    assert config.state_dir == tmp_path


@pytest.mark.parametrize(("old", "new", "said"), [
    ("heartbeat_interval_s", "heartbeat_s", "unknown key 'heartbeat_s' in the top level; known keys: state_dir, listen, path,"),
    ("[[path]]", "[[paths]]", "unknown key 'paths' in the top level; known keys: state_dir, listen, path,"),
    ("peer", "per", "unknown key 'per' in [path]; known keys: name, kind, endpoint, peer,"),
    ("day_bytes", "bytes_a_day", "unknown key 'bytes_a_day' in [path.budget]; known keys: day_bytes, month_bytes,"),
    ("urgent", "alerts", "unknown key 'alerts' in [path.marking]; known keys: urgent, bulk"),
    ('"zeromq"', '"udp"', "unknown 'udp' at path[0].kind; known are https, mqtt, neighbor, serial_radio, short_burst, sms, tls, zeromq"),
    ("metered = true", 'metered = "yes"', "Expected true or false, got text in quotes - at `path[0].metered`"),
    ("= 10", '= "10"', "Expected a whole number, got text in quotes - at `heartbeat_interval_s`"),
    ("= 10", "= 0", "heartbeat_interval_s"),
    ('state_dir = "."', "", "the table missing required field `state_dir`"),
    ('"command-center"', "command-center", "not valid TOML"),
])  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_what_is_known_there(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as refused:
        load(write(tmp_path, GOOD.replace(old, new, 1)), RelayConfig)
    assert said in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "relay.toml"))
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_bytes(b"\xff\xfes\0t\0")
    with pytest.raises(ConfigError, match=r"relay.toml is not valid TOML"):
        load(file, RelayConfig)


@pytest.mark.parametrize(
    "endpoint", ["tcp://0.0.0.0:70000", "0.0.0.0:5701", "tls://0.0.0.0:5701", "tcp://0.0.0.0", "tcp://host:x"]
)
def test_a_port_that_there_is_not_is_refused_and_never_cut_to_another_one(endpoint: str) -> None:
    facts, identity = PathFacts(name="p", kind="zeromq", mtu_bytes=1), Identity.generate()
    with pytest.raises(ConfigError, match="its port at most 65535"):
        ZeroMqListen(facts=facts, endpoint=endpoint, identity=identity, counters=Counters())
    with pytest.raises(ConfigError, match="its port at most 65535"):
        ZeroMqDial(facts=facts, endpoint=endpoint, server_key=bytes(32), identity=identity)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:70000", "http://127.0.0.1:x", "ftp://127.0.0.1:80", "http://"])
def test_an_https_endpoint_that_can_t_be_is_refused_at_either_end(endpoint: str) -> None:
    facts = PathFacts(name="p", kind="https", mtu_bytes=1)
    with pytest.raises(ConfigError, match="expected an endpoint like https://host:5743"):
        HttpsDial(facts=facts, endpoint=endpoint, counters=Counters())
    with pytest.raises(ConfigError, match=r"expected an endpoint like https://0.0.0.0:5743"):
        HttpsListen(facts=facts, endpoint=endpoint, counters=Counters())


def test_every_key_of_a_path_is_told() -> None:
    """What is known is read from the types: no second list to forget."""
    from relay.config_words import explain

    said = explain("Object contains unknown field `x` - at `$.path[3]`", RelayConfig)
    assert said.endswith(", ".join(field.encode_name for field in msgspec.structs.fields(PathConfig)))
