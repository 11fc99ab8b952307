"""Each file of the corpus through its decoder: what is valid is accepted, the rest accepted or refused, and nothing else ever happens."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.decoders import DECODERS
from tests.fuzz.make_corpora import CORPORA_DIR, corpus_of


@pytest.mark.parametrize("name", DECODERS)
def test_the_corpus_is_accepted_or_refused(name: str) -> None:
    files = sorted((CORPORA_DIR / name).glob("*.bin"))
    assert files or not DECODERS[name].valid, "python -m tests.fuzz.make_corpora writes it"
    for file in files:
        is_taken = DECODERS[name].take(file.read_bytes())
        if file.name.startswith("valid-") and DECODERS[name].accepts_valid:
            assert is_taken, file.name


@pytest.mark.parametrize("name", DECODERS)
def test_the_written_corpus_is_the_one_that_the_decoders_are_made_for(name: str) -> None:
    for file, data in corpus_of(name).items():
        if file.startswith("valid-"):
            assert (CORPORA_DIR / name / file).read_bytes() == data, (
                f"{file}: python -m tests.fuzz.make_corpora writes it anew"
            )


@pytest.mark.parametrize("name", DECODERS)
def test_every_decoder_takes_every_other_decoder_s_corpus(name: str) -> None:
    for file in sorted(CORPORA_DIR.glob("*/*.bin")):
        DECODERS[name].take(file.read_bytes())


def test_no_corpus_is_left_of_a_decoder_that_is_gone() -> None:
    assert {folder.name for folder in CORPORA_DIR.iterdir()} <= set(DECODERS)


ROOT_DIR = Path(__file__).parents[2]
_READS_BYTES = re.compile(
    r"unpackb|msgspec\.(json|msgpack)\.decode|msgpack\.Decoder|json\.loads|unpack_from|\.unpack\(|ElementTree"
)
_READS_BYTES_IN_THE_CENTER = re.compile(
    _READS_BYTES.pattern
    + r"|json\.Decoder|toml\.decode|b64decode|Image\.open|parse_qs|jwt\.decode|int\.from_bytes|urlsplit|last_event_id"
)
"""More ways are known there; below it such calls read what was checked before."""
NOT_FROM_OUTSIDE = {
    "relay/cli.py": "answers of its own station", "relay/emitter.py": "answers of its own station",
    "relay/intake_log.py": "its own file, proved by its own key: tests/relay/test_intake_log.py tears it",
    "relay/committed_pages.py": "SQLite's own log of its own database: tests/relay/test_committed_pages.py damages it",
    "command_center/standby/page_file.py": "its own file, each record with its digest: tests/command_center/test_standby_page_file.py tears it",
    "relay/ledger.py": "its own rows", "relay/tcp_info.py": "the kernel's struct, of a checked length", "relay/trust.py": "its own row, verified",
    "relay/service.py": "the door: door_emit, door_retract", "camera_node/cli.py": "answers of its own station", "camera_node/detector_keeper.py": "eye_report, framed",
    "camera_node/detector_service.py": "its parent's order", "camera_node/live/camera_feed.py": "eye_tap, framed", "camera_node/live/stage.py": "stage_order, framed",
    "camera_node/live_window.py": "stage_word, framed", "camera_node/live/showing.py": "a channel word of at most 200 characters: tests/camera_node",
    "camera_node/shared_detector.py": "its sibling's answer; a failure hangs up", "camera_node/supervision.py": "eye_report, framed", "models/cli.py": "a file of its own", "models/registry.py": "a file of its own",
    "models/demonstration/__init__.py": "a file of its own",
    "command_center/accounts/totp.py": "a digest of its own", "command_center/membership.py": "its own row, verified when it was kept",
    "command_center/admin_door.py": "the administrator's own program, over a socket that only its user may open", "command_center/api/queries.py": "its own rows",
    "command_center/backup.py": "the administrator's own file: tests/command_center/test_backup.py damages it", "command_center/callbacks/cap.py": "writes XML",
    "command_center/callbacks/cot.py": "writes XML", "command_center/callbacks/feed.py": "writes XML",
    "command_center/callbacks/kinds.py": "receiver_url first: an administrator's words", "command_center/callbacks/mail_carrier.py": "a receiver's address as it was taken",
    "command_center/callbacks/store.py": "its own rows", "command_center/callbacks/tak_carrier.py": "the kernel's number; a receiver's address as it was taken",
    "command_center/config.py": "the operator's own file", "command_center/custody/redactions.py": "its own rows", "command_center/demonstration/dispatcher.py": "its own center",
    "command_center/demonstration/household.py": "its own center", "command_center/evidence/cli.py": "its own center's answers",
    "command_center/evidence/export_office.py": "its own file", "command_center/evidence/journal_slice.py": "its own journal",
    "command_center/evidence/record.py": "its own center's answers", "command_center/evidence/report_pdf.py": "masked_picture, the same library with the same refusals",
    "command_center/evidence/statements.py": "its own journal: bodies are decoded by the table above first", "command_center/evidence/tables.py": "its own journal", "command_center/facts.py": "its own journal", "command_center/fleet.py": "its own rows",
    "command_center/views.py": "its own journal", "command_center/evidence/verifier/ed25519.py": "sizes are checked first: tests/evidence",
    "command_center/evidence/verifier/completeness.py": "bag_completeness, bag_table",
}  # fmt: skip
"""Files that decode bytes and need no line in the table, each with why."""


def _readers() -> Iterator[str]:
    for package in ("relay", "camera_node", "models", "hardware", "command_center"):
        pattern = _READS_BYTES_IN_THE_CENTER if package == "command_center" else _READS_BYTES
        for file in (ROOT_DIR / package).rglob("*.py"):
            if "node_modules" not in file.parts and pattern.search(file.read_text(encoding="utf-8")):
                yield str(file.relative_to(ROOT_DIR))


def test_every_file_that_decodes_bytes_is_in_the_table_or_says_why_not() -> None:
    imported = "\n".join((ROOT_DIR / "tests" / "fuzz" / name).read_text(encoding="utf-8")
                         for name in ("decoders.py", "decoders_upstairs.py", "decoders_center.py"))  # fmt: skip
    readers = set(_readers())
    assert readers, "the pattern finds nothing"
    forgotten = {name for name in readers - set(NOT_FROM_OUTSIDE) if not re.search(rf"\b{Path(name).stem}\b", imported)}
    assert not forgotten, "write a line in tests/fuzz/decoders.py"
    assert not set(NOT_FROM_OUTSIDE) - readers, "these decode nothing any more"
