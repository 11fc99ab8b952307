"""Searches on from the corpus with atheris, which watches which way the bytes take through our code.

`pip install atheris`, then `python -m tests.fuzz.search DECODER [libFuzzer's options, such as -max_total_time=60]`. Not part of any suite.
What it finds it writes as ``crash-…``, ``oom-…`` or ``timeout-…`` beside you: mend the decoder and put the file into
``tests/corpora/DECODER/found-….bin``.
"""

import sys
from pathlib import Path

CORPORA_DIR = Path(__file__).parents[1] / "corpora"


def main() -> None:
    """Run libFuzzer on one decoder."""
    try:
        import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris")
    with atheris.instrument_imports(include=["relay", "camera_node", "models", "command_center"]):
        from tests.fuzz.decoders import DECODERS
    if len(sys.argv) < 2 or sys.argv[1] not in DECODERS:
        sys.exit(f"expected one of {', '.join(DECODERS)}")
    decoder = DECODERS[sys.argv.pop(1)]
    name = next(name for name, known in DECODERS.items() if known is decoder)
    options = ["-max_len=4096", "-timeout=5", "-rss_limit_mb=2048", *sys.argv[1:], str(CORPORA_DIR / name)]

    def one(data: bytes) -> None:
        decoder.take(data)

    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
