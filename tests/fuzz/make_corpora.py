"""Writes ``tests/corpora``: `python -m tests.fuzz.make_corpora`. Valid examples, each cut off and changed; always the same bytes.

What ``search`` or hypothesis finds is added by hand as ``found-<what>.bin`` and stays: this only writes files of its own names.
"""

import hashlib
import random
from pathlib import Path
from typing import Final

from tests.fuzz.decoders import DECODERS

CORPORA_DIR: Final = Path(__file__).parents[1] / "corpora"
_MOST_EXAMPLES: Final = 4
_MUTATIONS: Final = 3


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Set, cut, insert or double a little, one to four times."""
    out = bytearray(data or b"\x00")
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(out)) if out else 0
        match chance.randrange(5):
            case 0 if out:
                out[at] = chance.randrange(256)
            case 1:
                del out[at : at + chance.randint(1, 9)]
            case 2:
                out[at:at] = chance.randbytes(chance.randint(1, 9))
            case 3:
                out += out[at : at + 64]
            case _:
                out[at:at] = chance.choice(
                    [b"\xff\xff\xff\xff", b"\x00" * 8, b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x80"]
                )
    return bytes(out)


def corpus_of(name: str) -> dict[str, bytes]:
    """File names and what is in them."""
    files: dict[str, bytes] = {}
    for example, data in list(DECODERS[name].valid.items())[:_MOST_EXAMPLES]:
        stem = example.replace(" ", "-")
        chance = random.Random(hashlib.sha256(f"{name}/{example}".encode()).digest())
        files[f"valid-{stem}.bin"] = data
        files[f"truncated-{stem}.bin"] = data[: len(data) * 2 // 3]
        for number in range(_MUTATIONS):
            files[f"mutated-{stem}-{number}.bin"] = mutated(data, chance)
    return files


def main() -> None:
    """Write them all."""
    for name in DECODERS:
        folder_dir = CORPORA_DIR / name
        folder_dir.mkdir(parents=True, exist_ok=True)
        for file, data in corpus_of(name).items():
            (folder_dir / file).write_bytes(data)


if __name__ == "__main__":
    main()
