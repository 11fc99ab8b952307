"""Every bound on bytes that come from outside, in one place, with units.

A bound is checked before the bytes are parsed, and a refusal names the bound.
"""

from typing import Final

LORA_FRAME_BYTES: Final = 233
"""Largest payload of one LoRa-class frame (Meshtastic ``Data.payload``): a sealed alert fits."""

SHORT_BURST_BYTES: Final = 340
"""Largest mobile-originated Iridium short burst message."""

MAX_BODY_BYTES: Final = 20_000
"""Largest plaintext body of an envelope. A chunk is at most 16 KiB of content and its description."""

MAX_ENVELOPE_BYTES: Final = MAX_BODY_BYTES + 512
"""Largest envelope on the wire."""

MAX_PARCEL_BYTES: Final = 64 * 1024
"""Largest parcel (an envelope or a hop note) that a path hands up; above it the transport disconnects."""

MAX_PROBE_BYTES: Final = 32 * 1024
"""Padding of a survey's probe or echo."""

SURVEY_BURST_BYTES: Final = 16 * 1024 * 1024
"""What a neighbor's surveys may make us receive and send at once; then ``SURVEY_REFILL_BYTES_S``."""

SURVEY_REFILL_BYTES_S: Final = 64 * 1024

MAX_CHUNK_BYTES: Final = 16 * 1024
"""Largest content of one chunk. The default is smaller: see ``DEFAULT_CHUNK_BYTES``."""

DEFAULT_CHUNK_BYTES: Final = 5 * 1024
"""Four TCP segments with all that wraps it, which is 87 % of what 256 kbit/s carry; it takes that link 0.17 s, and 1 MB in one
piece 32 s. Half of it would be 76 %, twice would hold up alerts on carriers that can't spread a chunk over time."""

MAX_OBJECT_BYTES: Final = 512 * 1024 * 1024
"""Largest exhibit (snapshot or clip) that will be put together from chunks."""

MAX_RECEIPT_RANGES: Final = 64
"""Ranges above the contiguous one that a receipt may name."""

RECEIPT_RANGES_NAMED: Final = 56
"""Of more than these a receipt names those that it answers, and the highest: so it fits one LoRa frame where no gap is longer than 127."""

MAX_FORGONE_RANGES: Final = 128
"""Ranges of given-up sequence numbers in one heartbeat."""

MAX_REFUSALS_TOLD: Final = 16
"""Names of refusals in one heartbeat."""

HEARTBEAT_ROOM_BYTES: Final = 64 * 1024
"""Of the reserve for alerts, what heartbeats may use: who has no room left must be able to say so."""

MAX_NAME_BYTES: Final = 48
"""Names in a passport (node, site, agency), UTF-8."""

MAX_TAG_BYTES: Final = 12
"""Names inside an alert (camera, zone, label), UTF-8: short, so that an alert fits one LoRa frame."""

MAX_PASSPORT_BYTES: Final = 600
"""Largest signed passport on the wire."""

MAX_PASSPORTS_IN_NOTE: Final = 64
"""Passports in one hop note."""

MAX_CLOCK_MS: Final = (1 << 48) - 1
"""Clock fields are 48 bits of milliseconds: until the year 10889."""
