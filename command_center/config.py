"""The center's configuration: ``center.toml`` in the state folder. Read once, at start; every value has a default."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from relay import config_words
from relay.config import ListenConfig
from relay.errors import ConfigError

FILE_NAME: Final = "center.toml"


class IncidentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How alerts become incidents."""

    window_s: Annotated[int, msgspec.Meta(ge=0, le=3600)] = 30
    """An alert of the same node, camera and label this soon after the last one joins its incident."""
    flood_most: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    """Incidents below FLASH annunciated in ten minutes; the rest are listed and wait."""
    flood_most_of_one: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 3
    """The same of one camera."""
    shelving_most_h: Annotated[float, msgspec.Meta(gt=0, le=168)] = 8.0
    """For how long a source may be shelved."""


class WelfareConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a unit at work that is not heard is asked after. 0: never."""

    on_scene_min: Annotated[float, msgspec.Meta(ge=0, le=1440)] = 20.0
    en_route_min: Annotated[float, msgspec.Meta(ge=0, le=1440)] = 30.0
    again_min: Annotated[float, msgspec.Meta(ge=1, le=1440)] = 5.0
    """Between reminders, until somebody hears it."""


class SessionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long people stay signed in."""

    idle_h: Annotated[float, msgspec.Meta(gt=0, le=168)] = 12.0
    absolute_h: Annotated[float, msgspec.Meta(gt=0, le=168)] = 12.0
    requires_https: bool = False
    """Set where the console is served through a TLS proxy: cookies are then never sent in the clear."""


class TlsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the console and the API are encrypted on their way."""

    mode: Literal["off", "own", "files"] = "off"
    """off: plain HTTP, for the loopback or behind a TLS proxy; own: this center's own certificate authority, in ``tls/``."""
    names: tuple[str, ...] = ()
    """Names and addresses by which people reach the center, for an own certificate."""
    certificate_file: str = ""
    key_file: str = ""


RoleName = Literal["dispatcher", "supervisor", "administrator", "auditor", "field_unit"]


class AccountsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a sign-in takes."""

    second_factor_for: tuple[RoleName, ...] = ()
    """Roles that must have an authenticator app: without one, a sign-in goes no further than setting it up."""


class OidcConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An identity provider that people may sign in at (OpenID Connect). Without an issuer there is none."""

    issuer: str = ""
    """``https://…``, as its discovery document names it; plain HTTP on the loopback only."""
    client_id: str = ""
    client_secret_file: str = ""
    """Mode 600; empty for a public client, which PKCE protects."""
    label: str = "Single sign-on"
    """What stands on the button."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    name_claim: str = "preferred_username"
    role_claim: str = "groups"
    """The claim that roles follow from: a text, or a list of them."""
    roles: dict[str, RoleName] = {}
    """Value of that claim to role; the first line that matches counts. Whoever matches none is refused."""
    unit_claim: str = ""
    """The claim that names a field unit's unit."""
    ca_file: str = ""
    """The provider's certificate authority, where the system does not know it."""


class RetentionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long pictures and clips are kept."""

    media_days: Annotated[float, msgspec.Meta(ge=0, le=36_500)] = 0.0
    """After their incident was closed; 0: for good. What is on hold stays, and each deletion leaves a tombstone."""


class TimestampConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time-stamping authority (RFC 3161) for exports."""

    url: str = ""
    """Empty: none. An authority that can't be reached never holds an export up."""
    ca_file: str = ""
    """Its chain in PEM: travels in the bag, for ``openssl ts -verify``."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=120)] = 10.0


class WitnessConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who outside keeps this center's checkpoints, and whose it keeps."""

    every_s: Annotated[int, msgspec.Meta(ge=10, le=604_800)] = 3600
    folders: tuple[str, ...] = ()
    """Checkpoints are written there: a share, a WORM volume, another machine's drop box."""
    urls: tuple[str, ...] = ()
    """Checkpoints are posted there as text."""
    witnesses: tuple[str, ...] = ()
    """Other agencies' centers, or any C2SP tlog-witness: the address before ``/add-checkpoint``."""
    known: tuple[str, ...] = ()
    """``name+id+key`` of other centers whose checkpoints this one witnesses, as their bags have it in ``journal/verifier-key``."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=120)] = 10.0


class StandbyConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A second machine that has everything and takes over when it is told to."""

    address: str = ""
    """``host:port`` where the other machine listens; empty: there is none."""
    listen: str = ""
    """``host:port`` where this machine listens to the other one: while it follows, and to say who leads while it leads."""
    wait_s: Annotated[float, msgspec.Meta(ge=0.1, le=30)] = 2.0
    """For a standby that does not answer; after that the center goes on alone, and says so."""


class LiveConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Live video on demand."""

    most_viewers: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 50
    """Viewings open at once; 0: nobody watches live. Each node has a limit of its own."""
    most_of_person: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 8
    longest_s: Annotated[int, msgspec.Meta(ge=10, le=86_400)] = 3600
    """A viewing ends after this; the person may begin another."""
    answer_within_s: Annotated[float, msgspec.Meta(ge=1, le=60)] = 10.0
    """How long a viewer waits for a node that does not answer."""
    ice_urls: tuple[str, ...] = ()
    """``turn:host:port?transport=udp`` or ``stun:host:port``, for viewers and nodes; empty: nobody asks any server, ever."""
    turn_secret_file: str = ""
    """coturn's ``static-auth-secret``; each viewing gets credentials of its own from it."""
    is_relay_only: bool = False
    """Viewers and nodes never learn each other's addresses: everything goes through TURN."""


class MapConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the console's map lies on. Without either it draws a grid of coordinates."""

    base_file: str = ""
    """A PMTiles archive, raster or vector; an absolute path."""
    plan_file: str = ""
    """A picture of the site (PNG, JPEG or WebP), north up; an absolute path."""
    plan_corners: tuple[tuple[float, float], tuple[float, float]] | None = None
    """Latitude and longitude of the plan's south-west and north-east corner."""


class CenterConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that an operator may set."""

    name: str = "command-center"
    http: str = "127.0.0.1:8480"
    listen: tuple[str, ...] = ("tcp://0.0.0.0:5700",)
    """For nodes and relays: ``tcp://`` for the zeromq path, ``tls://`` for the tls path."""
    url: str = ""
    """Where nodes reach this center's HTTP for enrollment; empty: http:// and the address served."""
    checkpoint_every_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 10
    events_kept: Annotated[int, msgspec.Meta(ge=100)] = 50_000
    """How far back a console that lost its connection can resume."""
    exports_kept_h: Annotated[float, msgspec.Meta(gt=0, le=8760)] = 24.0
    """For how long exports that people ordered in the console can be fetched."""
    verifiers: Annotated[int, msgspec.Meta(ge=0, le=16)] | None = None
    """Processes that check signatures beside this one, once there is a flow; not given: as many as are of use on its cores."""
    incidents: IncidentConfig = IncidentConfig()
    sessions: SessionConfig = SessionConfig()
    welfare: WelfareConfig = WelfareConfig()
    tls: TlsConfig = TlsConfig()
    map: MapConfig = MapConfig()
    accounts: AccountsConfig = AccountsConfig()
    oidc: OidcConfig = OidcConfig()
    retention: RetentionConfig = RetentionConfig()
    timestamp: TimestampConfig = TimestampConfig()
    witness: WitnessConfig = WitnessConfig()
    live: LiveConfig = LiveConfig()
    standby: StandbyConfig = StandbyConfig()


def listen_configs(endpoints: Sequence[str]) -> tuple[ListenConfig, ...]:
    """The listeners at these endpoints, each of the kind that its scheme says."""
    return tuple(
        ListenConfig(
            name=f"listen-{number}", kind="tls" if endpoint.startswith("tls:") else "zeromq", endpoint=endpoint
        )
        for number, endpoint in enumerate(endpoints, start=1)
    )


def load(state_dir: Path) -> CenterConfig:
    """Read the configuration; the defaults where there is no file.

    Raises:
        ConfigError: not TOML, an unknown key, or a value outside its bounds.
    """
    file = state_dir / FILE_NAME
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return CenterConfig()
    except OSError as error:
        raise ConfigError(f"can't read {file}: {error.strerror}") from error
    try:
        raw = msgspec.toml.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected TOML in {file}: {error}") from error
    try:
        return msgspec.convert(raw, CenterConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {config_words.explain(str(error), CenterConfig)}") from error


def default_text(name: str, http: str, url: str) -> str:
    """The file that ``init`` writes: what was chosen, and the rest as comments."""
    return (
        f'name = "{name}"\nhttp = "{http}"\nlisten = ["tcp://0.0.0.0:5700"]\n'
        + (f'url = "{url}"\n' if url else '# url = "https://center.example:8480"  # where nodes enroll\n')
        + "# checkpoint_every_s = 10\n# verifiers = 1  # processes that check signatures in a flow\n\n[incidents]\n# window_s = 30\n# flood_most = 10\n# flood_most_of_one = 3\n# shelving_most_h = 8.0\n\n"
        "[welfare]\n# on_scene_min = 20.0\n# en_route_min = 30.0\n# again_min = 5.0\n\n"
        "[sessions]\n# idle_h = 12.0\n# absolute_h = 12.0\n# requires_https = false\n\n"
        '[tls]\n# mode = "own"  # or "files", with certificate_file and key_file\n# names = ["center.example"]\n\n'
        '[accounts]\n# second_factor_for = ["administrator", "supervisor", "auditor", "dispatcher"]\n\n'
        "[retention]\n# media_days = 0  # pictures and clips, after their incident was closed; 0: for good\n\n"
        '[timestamp]\n# url = "https://tsa.example/tsr"  # RFC 3161\n# ca_file = "/etc/ssl/tsa-chain.pem"\n\n'
        '[witness]\n# folders = ["/mnt/other-machine"]\n# witnesses = ["https://other-agency.example/api/v1/witness"]\n\n'
        '[standby]\n# address = "other-machine.example:5800"  # both machines have both lines\n# listen = "0.0.0.0:5800"\n\n'
        '[live]\n# ice_urls = ["turn:center.example:3478?transport=udp"]  # with turn_secret_file\n'
    )
