"""An alert: what a node saw, in at most 69 bytes, so that signed and sealed it fits one LoRa frame (233 bytes).

``[facts, label, camera, zone]``. The facts are 24 bytes, big-endian:

====== ===== =====================================================
offset bytes field
====== ===== =====================================================
0      8     salt
8      1     confidence, in 1/255
9      4     box x1 y1 x2 y2, each in 1/255 of the frame's width or height
13     1     rule
14     2     track number on this camera, 0 if none
16     4     age: ms from the sighting to the header's monotonic time
20     4     first 4 bytes of the model's SHA-256, 0 if no model raised it
====== ===== =====================================================

Names are 1–12 bytes of UTF-8; zone may be empty. The sighting's own time is the header's clock minus the age.
"""

import enum
import struct
from typing import Final

import msgpack
import msgspec

from relay import limits
from relay.errors import Malformed
from relay.kinds.body import SALT_BYTES, new_salt

_FACTS: Final = struct.Struct(">8sB4sBHI4s")
MAX_BYTES: Final = 1 + 2 + _FACTS.size + 3 * (1 + limits.MAX_TAG_BYTES)


class Rule(enum.IntEnum):
    """Why the alert was raised."""

    EMITTED = 0
    """Another program on the gateway raised it."""
    CLASS_OF_INTEREST = 1
    """Something of a class that always matters, such as a weapon, was confirmed."""
    ZONE_INTRUSION = 2
    LOITERING = 3
    LINE_CROSSING = 4
    CROWD = 5
    ABANDONED_OBJECT = 6
    TAMPER = 7


_RULES: Final = {int(rule): rule for rule in Rule}


class Alert(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The body of an alert."""

    label: str
    """What was seen, e.g. ``handgun``."""
    camera: str
    zone: str = ""
    confidence: float
    """0 … 1; travels in steps of 1/255."""
    box_xyxy: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Corners as fractions of the frame, 0 … 1; all zero if there is no box."""
    rule: Rule
    track: int = 0
    age_ms: int = 0
    model_sha256_prefix: bytes = bytes(4)
    salt: bytes = b""
    """Empty: a new one is drawn when encoding."""

    def encode(self) -> bytes:
        """The body's bytes.

        Raises:
            Malformed: a field is outside its bounds.
        """
        for name, text, least in (
            ("label", self.label, 1),
            ("camera", self.camera, 1),
            ("zone", self.zone, 0),
        ):
            size = len(text.encode(errors="replace"))
            if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
                raise Malformed(f"expected text for {name}, found {text!r}, which no UTF-8 can say")
            if not least <= size <= limits.MAX_TAG_BYTES:
                raise Malformed(
                    f"expected {least} to {limits.MAX_TAG_BYTES} bytes of UTF-8 for {name}, found {size} in {text!r}: "
                    "choose a shorter name, the alert must fit one radio frame"
                )
        if not 0.0 <= self.confidence <= 1.0 or not all(0.0 <= edge <= 1.0 for edge in self.box_xyxy):
            raise Malformed(f"expected confidence and box within 0 … 1, found {self.confidence} and {self.box_xyxy}")
        if len(self.salt) not in {0, SALT_BYTES}:
            raise Malformed(f"expected a salt of {SALT_BYTES} bytes, found {len(self.salt)}")
        if len(self.model_sha256_prefix) != 4:
            raise Malformed(f"expected 4 bytes of the model's digest, found {len(self.model_sha256_prefix)}")
        if not (0 <= self.track < 1 << 16 and 0 <= self.age_ms < 1 << 32):
            raise Malformed(f"expected a track under 65536 and an age under 2^32 ms, found {self.track}, {self.age_ms}")
        facts = _FACTS.pack(
            self.salt or new_salt(), round(self.confidence * 255), bytes(round(edge * 255) for edge in self.box_xyxy),
            self.rule, self.track, self.age_ms, self.model_sha256_prefix,
        )  # fmt: skip
        body: bytes = msgpack.packb([facts, self.label, self.camera, self.zone], use_bin_type=True)
        return body


def tag(text: str) -> str:
    """Text cut to what fits an alert's names, never in the middle of a character."""
    return text.encode(errors="replace")[: limits.MAX_TAG_BYTES].decode(errors="ignore")


def decode(data: bytes) -> Alert:
    """The typed view of an alert's body.

    Raises:
        Malformed: not an alert, or a field outside its bounds.
    """
    try:
        parts = msgpack.unpackb(data, max_array_len=4, max_bin_len=_FACTS.size, max_str_len=limits.MAX_TAG_BYTES,
                                max_map_len=0, max_ext_len=0)  # fmt: skip
    except (ValueError, msgpack.UnpackException) as error:
        raise Malformed(f"expected an alert's body: {error or type(error).__name__}") from error
    if not isinstance(parts, list) or len(parts) != 4:
        raise Malformed("expected an alert's body [facts, label, camera, zone]")
    facts, label, camera, zone = parts
    if not isinstance(facts, bytes) or len(facts) != _FACTS.size:
        raise Malformed(f"expected {_FACTS.size} bytes of facts in an alert")
    if not (isinstance(label, str) and isinstance(camera, str) and isinstance(zone, str) and label and camera):
        raise Malformed("expected label, camera and zone as text in an alert")
    salt, confidence, box, rule, track, age_ms, model = _FACTS.unpack(facts)
    known_rule = _RULES.get(rule)
    if known_rule is None:
        raise Malformed(f"the alert names a rule that this release does not know: {rule}")
    x1, y1, x2, y2 = box
    return Alert(label=label, camera=camera, zone=zone, confidence=confidence / 255,
                 box_xyxy=(x1 / 255, y1 / 255, x2 / 255, y2 / 255), rule=known_rule, track=track, age_ms=age_ms, model_sha256_prefix=model, salt=salt)  # fmt: skip


assert SALT_BYTES == 8
