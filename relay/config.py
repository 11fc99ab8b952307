"""What a relay is told: one TOML file, every key known, every unit in its name.

An unknown key is an error, because a misspelt one would otherwise silently mean its default.
"""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from relay import config_words, limits
from relay.errors import ConfigError
from relay.marking import Marking
from relay.path_options import (
    RadioOptions,
    ShortBurstDialOptions,
    ShortBurstListenOptions,
    SmsDialOptions,
    SmsListenOptions,
)

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.MAX_NAME_BYTES)]


class HttpsDialOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[path.https]``."""

    proxy: str = ""
    """``http://proxy:3128``; empty: what HTTPS_PROXY and NO_PROXY in the environment say."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""


class HttpsListenOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[listen.https]``."""

    certificate_file: Path | None = None
    """PEM; needed for an https:// endpoint. An http:// endpoint belongs behind a TLS proxy."""
    key_file: Path | None = None


class MqttOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[path.mqtt]`` and ``[listen.mqtt]``: the broker, seen from either side."""

    prefix: str = "heard"
    """First part of every topic; the same on both sides."""
    username: str = ""
    password_file: Path | None = None
    """The password is its first line; it is in no configuration, no log and no message."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's, for mqtts://."""
    certificate_file: Path | None = None
    """Our own certificate, where the broker asks for one."""
    key_file: Path | None = None
    version: Literal["5", "3.1.1"] = "5"


class BudgetOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[path.budget]``: what a metered path may cost, both directions together; 0 is no limit.

    Alerts are never held back by it; snapshots and heartbeats are, and clips never go on a metered path at all.
    """

    day_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    month_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    day_money: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """In the unit of ``cost_per_mb``."""
    month_money: Annotated[float, msgspec.Meta(ge=0)] = 0.0


Kind = Literal["zeromq", "tls", "https", "mqtt", "neighbor", "serial_radio", "short_burst", "sms"]
_METERED: Final = frozenset({"short_burst", "sms"})


class PathConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[path]]``: a way to a neighbor that listens."""

    name: Name
    kind: Kind = "zeromq"
    endpoint: str = ""
    """``tcp://host:port`` for zeromq, ``tls://host:port`` for tls, ``https://host:port`` for https, ``mqtt://broker:port`` or ``mqtts://`` for mqtt,
    ``serial:///dev/ttyUSB0`` for a modem."""
    peer: str = ""
    """The neighbor's name, as in its passport. A ``neighbor`` path has neither: it calls whomever it finds."""
    interface: str = ""
    """Network interface to pin the path to; empty: whatever the routing table says."""
    metered: bool | None = None
    """Whether every byte costs. Unless said: yes for short_burst and sms, no for the others."""
    cost_per_mb: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Money for 1,000,000 bytes, in whatever unit the budget is written in."""
    budget: BudgetOptions = BudgetOptions()
    provider: str = ""
    jurisdiction: str = ""
    marking: Marking = Marking()
    https: HttpsDialOptions = HttpsDialOptions()
    mqtt: MqttOptions = MqttOptions()
    serial_radio: RadioOptions = RadioOptions()
    short_burst: ShortBurstDialOptions = ShortBurstDialOptions()
    sms: SmsDialOptions = SmsDialOptions()

    def __post_init__(self) -> None:
        """A path leads somewhere."""
        if (self.kind == "neighbor") == bool(self.endpoint or self.peer):
            asked = "no `endpoint` and no `peer`" if self.kind == "neighbor" else "`endpoint` and `peer`"
            raise ValueError(f"expected {asked} in path {self.name!r} of kind {self.kind}")
        if self.kind != "neighbor" and not (self.endpoint and 1 <= len(self.peer) <= limits.MAX_NAME_BYTES):
            raise ValueError(f"expected `endpoint` and `peer` in path {self.name!r}")

    @property
    def is_metered(self) -> bool:
        """Whether it costs by the byte."""
        return self.kind in _METERED if self.metered is None else self.metered


class ListenConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[listen]]``: where neighbors reach us."""

    name: Name = "listen"
    kind: Kind = "zeromq"
    endpoint: str = ""
    """``tcp://0.0.0.0:5701``, ``tls://0.0.0.0:5703`` or ``https://0.0.0.0:5743``, where port 0 takes a free one; or the broker, ``mqtt://host:1883``;
    or a modem, ``serial:///dev/ttyUSB0``."""
    marking: Marking = Marking()
    https: HttpsListenOptions = HttpsListenOptions()
    mqtt: MqttOptions = MqttOptions()
    serial_radio: RadioOptions = RadioOptions()
    short_burst: ShortBurstListenOptions = ShortBurstListenOptions()
    sms: SmsListenOptions = SmsListenOptions()
    interface: str = ""
    """For ``neighbor``: the network interface to announce on; empty: every one."""

    def __post_init__(self) -> None:
        """A listener is somewhere."""
        if not self.endpoint and self.kind != "neighbor":
            raise ValueError(f"expected `endpoint` in listen {self.name!r}")

    @property
    def is_metered(self) -> bool:
        """Whether it costs by the byte."""
        return self.kind in _METERED


class SpoolConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[spool]``."""

    capacity_bytes: Annotated[int, msgspec.Meta(ge=1_000_000)] = 2_000_000_000
    reserve_bytes: Annotated[int, msgspec.Meta(ge=0)] = 200_000_000
    node_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.25
    """Of the capacity, what any one node that this machine carries for may use: a flood leaves the rest to the others."""
    ballast_bytes: Annotated[int, msgspec.Meta(ge=0)] = 8 * 1024 * 1024
    """Of the disk, what is kept for alerts when something else fills it: some 20,000 of them. 0: nothing."""


class MetricsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[metrics]``."""

    listen: str = ""
    """An address of the loopback, such as ``127.0.0.1:9464``, where Prometheus' text format is served; empty: nowhere."""


class StationConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every station needs, whatever its role."""

    state_dir: Path
    listen: tuple[ListenConfig, ...] = ()
    path: tuple[PathConfig, ...] = ()
    spool: SpoolConfig = SpoolConfig()


class RelayConfig(StationConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole ``relay.toml``."""

    heartbeat_interval_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 10
    metrics: MetricsConfig = MetricsConfig()


C = TypeVar("C", bound=msgspec.Struct)


def load(config_file: Path, kind: type[C]) -> C:
    """Read a TOML configuration file into its typed form. Relative paths in it count from the file's own folder.

    Raises:
        ConfigError: missing, not TOML, an unknown key, or a value outside its bounds.
    """
    try:
        data = config_file.read_bytes()
    except OSError as error:
        raise ConfigError(f"can't read the configuration {config_file}: {error.strerror}") from error
    try:
        return msgspec.convert(tomllib.loads(data.decode()), kind, dec_hook=paths_from(config_file.absolute().parent))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{config_file} is not valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"{config_file}: {config_words.explain(str(error), kind)}") from error


def paths_from(folder_dir: Path) -> Callable[[type, object], object]:
    """How msgspec is to read file names: relative ones count from this folder, the configuration file's own."""

    def hook(kind: type, value: object) -> object:
        if kind is Path and isinstance(value, str):
            return folder_dir / Path(value).expanduser()
        raise NotImplementedError(kind)  # how a msgspec hook says "not mine": it becomes msgspec's own error

    return hook
