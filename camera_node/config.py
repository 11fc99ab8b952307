"""The node's configuration: one TOML file, every key known, every unit in its name.

state_dir = "/var/lib/heard"

[[path]]
name = "site"
endpoint = "tcp://relay.example:5701"
peer = "relay-1"

[[camera]]
name = "gate"                        # at most 12 bytes: it travels in every alert
source = "rtsp://user:password@10.0.0.5/stream"

[[camera.zone]]
name = "yard"
polygon = [[0.0, 0.5], [1.0, 0.5], [1.0, 1.0], [0.0, 1.0]]     # fractions of the picture

[[camera.rule]]
kind = "zone_intrusion"
zones = ["yard"]

[model]
registry_dir = "/var/lib/heard/models"
signers_file = "/etc/heard/signers"

[clip]
pre_roll_s = 5
post_roll_s = 10
is_sent = "always"
"""

import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from camera_node import config_check
from camera_node.actions import ActionConfig
from camera_node.crop_check import LOOK_ALIKES
from camera_node.frigate import FrigateSettings
from camera_node.governor import GovernorSettings
from camera_node.motion_gate import MotionGateSettings
from camera_node.onvif_events import OnvifSettings
from camera_node.rules.catalog import RuleSettings
from camera_node.rules.class_of_interest import ClassOfInterestSettings
from camera_node.sealed_originals import PrivacyConfig
from camera_node.source import SourceKind, parse_source
from relay import config_words
from relay.config import MetricsConfig, PathConfig, SpoolConfig, paths_from
from relay.errors import ConfigError

MAX_CONFIG_BYTES: Final = 1_000_000
DetectorName = Literal["onnx", "ultralytics"]
Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0.1, le=86_400)]
Roll = Annotated[float, Meta(ge=0, le=120)]
Bytes = Annotated[int, Meta(ge=0, le=1 << 50)]
Polygon = Annotated[tuple[tuple[Share, Share], ...], Meta(min_length=3, max_length=100)]


class ZoneConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named part of a camera's picture."""

    name: str
    polygon: Polygon


class CameraConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One camera."""

    name: str
    source: str
    """A file, ``rtsp://…``, ``rtsps://…``, ``http://…`` (Motion JPEG), ``/dev/videoN``, ``csi:N`` or ``gst:PIPELINE``."""
    sub_source: str = ""
    """The camera's own second, smaller stream, for viewers on thin lines; empty: the node makes a small one when it is needed."""
    loop: bool = False
    """Files only: start again at the end."""
    frames_per_s: Annotated[float, Meta(gt=0, le=120)] = 10.0
    """Frames given to the detector at most; the camera may deliver more."""
    lost_after_s: Annotated[float, Meta(ge=0.5, le=60)] = 3.0
    black_after_s: Annotated[float, Meta(ge=0.5, le=600)] = 2.0
    frozen_after_s: Annotated[float, Meta(ge=0.5, le=600)] = 5.0
    zone: tuple[ZoneConfig, ...] = ()
    rule: tuple[RuleSettings, ...] = (ClassOfInterestSettings(),)
    """Without any: every weapon is a FLASH alert."""
    motion_gate: MotionGateSettings | None = None
    """With a ``[camera.motion_gate]``, frames without any change are mostly left out. Without: every frame is looked at."""
    privacy_masks: Annotated[tuple[Polygon, ...], Meta(max_length=50)] = ()
    """Black in every picture that leaves the node. The detector sees through them. With any, clips are encoded again with the
    masks burnt in, ten pictures a second; the camera's own stream is not kept."""

    is_recorded: bool = True
    """Whether clips of its sightings are kept."""
    pre_roll_s: Roll | None = None
    """None: as in [clip]."""
    post_roll_s: Roll | None = None

    def __repr__(self) -> str:  # the source may hold a password
        return f"CameraConfig({self.name})"


class ModelConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to see with: exactly one of ``registry_dir``, ``bundle_file`` and ``weights_file``."""

    registry_dir: Path | None = None
    """The active model of a registry, as ``model-bundle activate`` left it."""
    bundle_file: Path | None = None
    """A signed bundle; it is taken into ``state_dir/models`` first."""
    weights_file: Path | None = None
    """Plain ONNX weights, unsigned. Said aloud in the log at every start."""
    signers_file: Path | None = None
    """Whose bundles are trusted. Needed with the first two."""
    detector: DetectorName = "onnx"
    least_confidence: Share = 0.25
    is_shared: bool = False
    """One detector process for all cameras, served in turn: less memory, and one accelerator for all. Without: one for each camera."""
    threads: Annotated[int, Meta(ge=0, le=256)] = 0
    """For each camera; 0: the processor's cores shared among the cameras."""
    labels: tuple[str, ...] = ()
    """Class names, for weights that carry none."""


class SecondStageConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[second_stage]``: one closer look at each weapon before it is told. Without it there is none."""

    model: ModelConfig | None = None
    """Its own weights, a detector or a classifier (``task: classify``). Without: [model]'s, on the crop alone."""
    tier: Literal["device", "gateway"] = "device"
    """Where its own weights run: with each camera, or in the shared detector, which [model] is_shared makes. Detectors only."""
    look_alikes: tuple[str, ...] = LOOK_ALIKES
    """Classes that stop an alert if they clearly beat the weapon."""
    least_confidence: Share = 0.35
    margin: Share = 0.15
    """By how much a look-alike must be surer than the weapon."""


class HeartbeatConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often the center hears from this node when nothing happens."""

    interval_s: Annotated[int, Meta(ge=1, le=86_400)] = 30


class FallbackConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done here when nobody has heard an alert in time."""

    deadline_s: Seconds = 20.0
    command: tuple[str, ...] = ()
    """Program and arguments, run without a shell; HEARD_* in its environment says what was seen. Empty: none."""
    actions: tuple[str, ...] = ()
    """Names of [[action]] tables. With neither: only recorded."""
    time_limit_s: Seconds = 60.0
    least_urgent: Literal["FLASH", "IMMEDIATE"] = "IMMEDIATE"
    """For alerts of this precedence and above."""
    forget_after_s: Seconds = 3600.0
    """An alert that is older than this when the node comes back is recorded and not acted on."""


class ClipConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The moments before and after a sighting, as the camera encoded them."""

    pre_roll_s: Roll = 5.0
    post_roll_s: Roll = 10.0
    longest_s: Annotated[float, Meta(ge=5, le=3600)] = 120.0
    """Sightings that follow each other share a clip up to this length; then the next one begins."""
    segment_s: Annotated[float, Meta(ge=0.2, le=60)] = 2.0
    """A kill or a power cut costs at most about this much of a clip's end."""
    ring_bytes: Annotated[int, Meta(ge=1_000_000, le=1 << 31)] = 32_000_000
    """For each camera, in memory."""
    quota_bytes: Annotated[int, Meta(ge=1_000_000, le=1 << 50)] = 4_000_000_000
    """All clips of this node together."""
    reserve_bytes: Bytes = 1_000_000_000
    """What clips leave free on the disk: the spool needs it more."""
    keep_days: Annotated[float, Meta(gt=0, le=3650)] = 14.0
    """Clips that the center has, or that are never sent, are deleted after this. Others only when the quota forces it."""
    is_sent: Literal["always", "never"] = "always"
    """To the command center, behind everything else."""

    def rolls_s(self, camera: CameraConfig) -> tuple[float, float]:
        """Before and after, for this camera."""
        return (
            self.pre_roll_s if camera.pre_roll_s is None else camera.pre_roll_s,
            self.post_roll_s if camera.post_roll_s is None else camera.post_roll_s,
        )


class VideoConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Live video on demand, for whom the command center lets watch."""

    is_on: bool = True
    most_viewers: Annotated[int, Meta(ge=1, le=64)] = 8
    """At once, of all cameras of this node; each costs processor time and uplink."""
    most_viewers_of_camera: Annotated[int, Meta(ge=1, le=64)] = 4
    longest_s: Annotated[int, Meta(ge=10, le=86_400)] = 3600
    """A viewing ends after this; the person may begin another."""
    main_kbps: Annotated[int, Meta(ge=100, le=20_000)] = 1500
    """Where the camera's own stream can't be passed on: for masks, H.265, B-frames, key frames that are too far apart."""
    sub_kbps: Annotated[int, Meta(ge=40, le=4000)] = 200
    """The small stream, for thin lines."""
    still_every_s: Annotated[float, Meta(ge=0.2, le=60)] = 1.0
    """On lines that carry no video."""
    addresses: tuple[str, ...] = ()
    """Of this machine, that viewers are offered; empty: those of every interface."""
    unreachable_cut_s: Seconds = 20.0
    """With no path up for so long nobody could close a stream any more: the node does."""


class NodeConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    state_dir: Path
    model: ModelConfig
    path: tuple[PathConfig, ...] = ()
    second_stage: SecondStageConfig | None = None
    camera: Annotated[tuple[CameraConfig, ...], Meta(max_length=64)] = ()
    frigate: FrigateSettings | None = None
    """Frigate on this site: what it tracks becomes alerts of this node."""
    onvif: Annotated[tuple[OnvifSettings, ...], Meta(max_length=64)] = ()
    """Cameras whose own analytics are heard."""
    heartbeat: HeartbeatConfig = HeartbeatConfig()
    fallback: FallbackConfig = FallbackConfig()
    action: Annotated[tuple[ActionConfig, ...], Meta(max_length=32)] = ()
    """What can be done here: by the fallback, or by an order from the command center."""
    governor: GovernorSettings = GovernorSettings()
    clip: ClipConfig = ClipConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    video: VideoConfig = VideoConfig()
    spool: SpoolConfig = SpoolConfig()
    metrics: MetricsConfig = MetricsConfig()


def load(config_file: Path) -> NodeConfig:
    """Read and check the configuration. Relative paths count from the file's folder.

    Raises:
        ConfigError: says which file, which key, what was expected and what was found.
    """
    try:
        data = config_file.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"expected the node's configuration in {config_file}, found no such file") from None
    except OSError as error:
        raise ConfigError(f"can't read {config_file}: {error.strerror}") from error
    if len(data) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{config_file}: expected at most {MAX_CONFIG_BYTES} bytes, found {len(data)}")
    try:
        config = msgspec.convert(
            tomllib.loads(data.decode()), NodeConfig, dec_hook=paths_from(config_file.resolve().parent)
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{config_file} is not valid TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{config_file}: {config_words.explain(str(error), NodeConfig)}") from None
    if problem := config_check.problem(config):
        raise ConfigError(f"{config_file}: {problem}")
    return _resolved(config, config_file.resolve().parent)


def _resolved(config: NodeConfig, base_dir: Path) -> NodeConfig:
    """Cameras that are files count from the configuration's folder, as every other file does."""
    cameras = tuple(
        msgspec.structs.replace(camera, source=str(base_dir / Path(camera.source).expanduser()))
        if parse_source(camera.source).kind is SourceKind.FILE and not camera.source.startswith("/") else camera
        for camera in config.camera
    )  # fmt: skip
    return msgspec.structs.replace(config, camera=cameras)
