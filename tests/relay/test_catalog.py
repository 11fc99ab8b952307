"""The table of carriers: what the installer's guide shows is made into paths, and a missing library is named."""

import builtins
import re
from pathlib import Path
from typing import Literal

import pytest

from relay import config
from relay.config import ListenConfig, PathConfig, RelayConfig
from relay.counters import Counters
from relay.errors import ConfigError
from relay.identity import AuthorityKeys
from relay.passport import Role
from relay.paths import catalog
from tests.relay.carriers import self_signed
from tests.relay.house import House

GUIDE_FILE = Path(__file__).parents[2] / "docs" / "installer.md"


def shown() -> list[str]:
    section = GUIDE_FILE.read_text(encoding="utf-8").split("## Other carriers")[1].split("\n## ")[0]
    return re.findall(r"^```toml\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def authority_of(house: House) -> AuthorityKeys:
    return AuthorityKeys(signing_key=house.authority.signing_key, sealing_key=house.authority.sealing_key)


@pytest.fixture
def house(tmp_path: Path) -> House:
    built = House(tmp_path / "house")
    built.enroll("site-relay", Role.RELAY)
    return built


def test_what_the_guide_shows_of_other_carriers_is_made_into_paths(house: House, tmp_path: Path) -> None:
    certificate_file, _ = self_signed(tmp_path)
    (tmp_path / "site-ca.pem").write_bytes(certificate_file.read_bytes())
    (tmp_path / "broker.password").write_text("the-secret\n")
    (tmp_path / "sim.pin").write_text("1234\n")
    peer, identity = house.passports["site-relay"].passport, house.identities["site-relay"]
    kinds = list[str]()
    for block in shown():
        config_file = tmp_path / "relay.toml"
        config_file.write_text('state_dir = "."\n' + block)
        loaded = config.load(config_file, RelayConfig)
        for path in loaded.path:
            catalog.dial(path, peer=peer, identity=identity, counters=Counters(), authority=authority_of(house))
            kinds.append(f"path {path.kind}")
        for listen in loaded.listen:
            catalog.listen(
                listen,
                identity=identity,
                counters=Counters(),
                authority=authority_of(house),
                peer_named=lambda name: None,
            )
            kinds.append(f"listen {listen.kind}")
    assert kinds == [
        "listen tls", "path tls", "listen https", "path https", "listen mqtt", "path mqtt", "path neighbor", "listen neighbor", "listen serial_radio",
        "path serial_radio", "path short_burst", "listen short_burst", "path zeromq", "path sms", "listen sms",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "library"), [("mqtt", "paho"), ("https", "aiohttp"), ("neighbor", "zeroconf"), ("tls", "cryptography")]
)
def test_a_carrier_without_its_library_says_which_extra_it_needs(
    house: House, monkeypatch: pytest.MonkeyPatch, kind: Literal["mqtt", "https", "neighbor", "tls"], library: str
) -> None:
    really_import = builtins.__import__

    def without(name: str, *rest: object, **options: object) -> object:
        if name.startswith(
            (library, "relay.paths.mqtt", "relay.paths.https", "relay.paths.neighbor", "relay.paths.tls")
        ):
            raise ImportError(f"no {library}", name=library)
        return really_import(name, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    peer, identity = house.passports["site-relay"].passport, house.identities["site-relay"]
    path = PathConfig(name="site", kind="neighbor")
    if kind != "neighbor":
        path = PathConfig(name="site", kind=kind, endpoint=f"{kind}://host", peer="site-relay")
    with pytest.raises(ConfigError, match=rf"pip install heard\[{kind}\]"):
        catalog.dial(path, peer=peer, identity=identity, counters=Counters(), authority=authority_of(house))
    listen = ListenConfig(kind=path.kind, endpoint=path.endpoint)
    with pytest.raises(ConfigError, match=rf"{library} is missing"):
        catalog.listen(
            listen, identity=identity, counters=Counters(), authority=authority_of(house), peer_named=lambda name: None
        )
