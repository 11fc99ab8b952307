"""The other end of ``verifiers``: a process that checks signatures and can do nothing else.

It reads batches from its standard input and writes a byte for each claim: 1, this key signed this header; 0, not so. It holds no
key, opens no file and no socket, and ends when its input does: with whoever started it, however that ended.

A batch, big-endian: the size of what follows, 4 bytes; then for each claim the header's length, 1 byte, the public key, 32,
the signature, 64, and the header. Both ends are one installation, so there is no version.
"""

import signal
import sys
from collections.abc import Sequence
from typing import BinaryIO, Final

from relay import dsse
from relay.errors import BadSignature

READY: Final = b"\x02"
"""Its first byte: it may be asked from now on."""
_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_SIZE_BYTES: Final = 4


def batch_of(claims: Sequence[tuple[bytes, bytes, bytes]]) -> bytes:
    """The bytes of a batch of (public key, signature, header)."""
    parts = [b""]
    for key, signature, header in claims:
        parts += (len(header).to_bytes(1, "big"), key, signature, header)
    body = b"".join(parts)
    return len(body).to_bytes(_SIZE_BYTES, "big") + body


def verdicts_on(body: bytes) -> bytes:
    """A byte for each claim of a batch, its size taken off."""
    verdicts = bytearray()
    at = 0
    while at < len(body):
        key_at = at + 1
        signature_at = key_at + _KEY_BYTES
        header_at = signature_at + _SIGNATURE_BYTES
        after = header_at + body[at]
        try:
            dsse.verify(
                dsse.HEADER_TYPE, body[header_at:after], body[signature_at:header_at], body[key_at:signature_at]
            )
        except BadSignature:
            verdicts.append(0)
        else:
            verdicts.append(1)
        at = after
    return bytes(verdicts)


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    """Answer batch after batch until the input ends."""
    answers.write(READY)
    answers.flush()
    while len(size := asked.read(_SIZE_BYTES)) == _SIZE_BYTES:
        body = asked.read(int.from_bytes(size, "big"))
        answers.write(verdicts_on(body))
        answers.flush()


def main() -> None:
    """Serve on standard input and output; a Ctrl-C in the terminal is for whoever started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:  # nobody waits for the answer any more
        sys.stderr.close()


if __name__ == "__main__":
    main()
