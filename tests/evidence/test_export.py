"""What is in a bag, and that tools which know nothing of us agree with it."""

import base64
import csv
import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from command_center import journal
from command_center.blobs import BlobStore
from command_center.errors import NotFound
from command_center.evidence import contents, tables
from command_center.evidence.contents import Keys, Occasion
from command_center.evidence.export import export, write_bag
from command_center.evidence.reading import Reading
from command_center.evidence.selection import Selection
from command_center.evidence.verifier.main import claims
from command_center.state_dir import StateDir
from relay.clock import SimulatedClock
from relay.errors import OperatorError
from relay.header import Kind
from relay.identity import Identity
from tests.command_center.house import House
from tests.evidence.scene import make, picture, show, unpack, wrong_in

ONE = Selection(incidents=("1",))
ALL = Selection(is_all=True)


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


def exported(center: Path, chosen: Selection = ONE, name: str = "bag.zip") -> Path:
    target_file = center.parent / name
    export(StateDir(center), chosen, target_file, SimulatedClock())
    return target_file


def rows(bag_dir: Path, name: str) -> list[dict[str, str]]:
    with (bag_dir / "data" / name).open(newline="") as stream:
        return list(csv.DictReader(stream))


# ---------------------------------------------------------------------- tools that know nothing of us


@needs("sha256sum")
def test_sha256sum_agrees(bag_dir: Path) -> None:
    for name in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        subprocess.run(["sha256sum", "--quiet", "--strict", "-c", name], cwd=bag_dir, check=True, timeout=30)


def test_bagit_agrees(bag_dir: Path) -> None:
    code = "import sys, bagit; bagit.Bag(sys.argv[1]).validate()"
    subprocess.run([sys.executable, "-c", code, str(bag_dir)], check=True, timeout=60, capture_output=True)


@needs("openssl")
def test_openssl_agrees_on_every_signature(bag_dir: Path) -> None:
    def check(pem: Path, data: Path, signature: Path) -> None:
        done = subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", pem, "-rawin", "-in", data, "-sigfile", signature],
                              capture_output=True, text=True, timeout=30)  # fmt: skip
        assert "Signature Verified Successfully" in done.stdout, done.stderr

    keys_dir = bag_dir / "data/keys"
    check(bag_dir / "signatures/center.pem", bag_dir / "tagmanifest-sha256.txt",
          bag_dir / "signatures/tagmanifest-sha256.txt.sig")  # fmt: skip
    checked = 0
    for file in sorted((bag_dir / "data").glob("*/*.pae")):
        is_authority = file.parent.name in {"passports", "keys"}
        view = file.with_suffix(".json")
        signer = "authority" if is_authority else json.loads(view.read_text())["node"]
        check(keys_dir / f"{signer}.pem", file, file.with_suffix(".sig"))
        checked += 1
    assert checked == 2 + 2 + 2 + 1, "two alerts, two exhibits, two passports, the roster"


def test_securesystemslib_agrees_on_every_dsse_envelope(bag_dir: Path) -> None:
    """The library that in-toto and TUF stand on reads our statements as its own, and refuses a changed one."""
    pytest.importorskip("securesystemslib", reason="securesystemslib is not installed")
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

    checked = 0
    for file in sorted((bag_dir / "data").glob("*/*.dsse.json")):
        value = json.loads(file.read_text())
        view = bag_dir / "data" / file.parent.name / f"{file.name.removesuffix('.dsse.json')}.json"
        signer = json.loads(view.read_text())["node"] if view.exists() else "authority"
        loaded = load_pem_public_key((bag_dir / f"data/keys/{signer}.pem").read_bytes())
        key = SSlibKey.from_crypto(loaded, keyid=value["signatures"][0]["keyid"])
        envelope = Envelope.from_dict(json.loads(file.read_text()))
        assert list(envelope.verify([key], 1)) == [key.keyid]
        assert envelope.pae() == (file.parent / file.name.replace(".dsse.json", ".pae")).read_bytes()
        envelope.payload += b"x"
        with pytest.raises(VerificationError):
            envelope.verify([key], 1)
        checked += 1
    assert checked == 2 + 2 + 2 + 1


def test_an_independent_merkle_check_agrees(bag_dir: Path) -> None:
    """RFC 9162, 2.1.3.2, written anew, over leaves hashed from the columns by another msgpack."""
    import msgpack

    note = (bag_dir / "data/journal/checkpoint").read_text().split("\n")
    size, root = int(note[1]), base64.b64decode(note[2])
    entries = [json.loads(line) for line in (bag_dir / "data/journal/entries.jsonl").read_text().splitlines()]
    assert len(entries) > 5
    for entry in entries:
        payload = hashlib.sha256(base64.b64decode(entry["payload"])).digest()
        statement = [1, entry["id"], entry["at_ms"], entry["kind"], entry["actor"], entry["subject"], payload]
        current = hashlib.sha256(b"\0" + msgpack.packb(statement, use_bin_type=True)).digest()
        node, last = entry["id"] - 1, size - 1
        for step in map(bytes.fromhex, entry["proof"]):
            if node % 2 or node == last:
                current = hashlib.sha256(b"\1" + step + current).digest()
                while node % 2 == 0 and node:
                    node, last = node // 2, last // 2
            else:
                current = hashlib.sha256(b"\1" + current + step).digest()
            node, last = node // 2, last // 2
        assert (last, current) == (0, root)


@needs("pdftoppm")
def test_the_pdf_is_drawn_with_its_pictures(bag_dir: Path, tmp_path: Path) -> None:
    from PIL import Image

    for name in ("report", "CERTIFICATION-902"):
        subprocess.run(
            ["pdftoppm", "-r", "50", "-png", bag_dir / f"data/{name}.pdf", tmp_path / name], check=True, timeout=60
        )
    with Image.open(min(tmp_path.glob("report-*.png"))) as page:
        colors = page.convert("RGB").getcolors(1 << 20)
    assert colors is not None
    blue = sum(count for count, (red, green, deep) in colors if deep > red + 20 and deep > green + 10)  # type: ignore[misc]
    assert blue > 500, "the picture's background"
    text = subprocess.run(
        ["pdftotext", bag_dir / "data/report.pdf", "-"], capture_output=True, text=True, timeout=60
    ).stdout
    assert "INC-2026-000001: handgun" in text


def test_the_program_in_the_bag_says_the_same(bag_zip: Path, bag_dir: Path) -> None:
    script = bag_dir / "data/verify.py"
    before = sorted(bag_dir.rglob("*"))
    for place in (bag_dir, bag_zip):
        alone = subprocess.run(
            [sys.executable, "-I", "-S", script, place], capture_output=True, text=True, timeout=60, cwd="/"
        )
        ours = subprocess.run([sys.executable, "-c", "from command_center.cli import main; main()", "verify", place],
                              capture_output=True, text=True, timeout=60)  # fmt: skip
        assert alone.stdout == ours.stdout
        assert (alone.returncode, ours.returncode) == (0, 0), alone.stderr + ours.stderr
        assert ours.stdout.count("ok  ") == 9
    (bag_dir / "data/README.txt").write_text("changed")
    alone = subprocess.run([sys.executable, "-I", "-S", script], capture_output=True, text=True, timeout=60, cwd="/")
    assert alone.returncode == 1
    assert "WRONG   data/README.txt" in alone.stdout
    assert sorted(bag_dir.rglob("*")) == before, "checking leaves nothing behind"


# ---------------------------------------------------------------------- what it says


def test_custody_names_who_viewed_who_acted_and_this_export(bag_dir: Path) -> None:
    done = [(row["what"], row["who"]) for row in rows(bag_dir, "custody/custody.csv")]
    assert ("viewed", "user:alice") in done
    assert ("incident-acknowledged", "user:alice") in done
    assert done[-1] == ("export-started", "user:local-administrator")


def test_nothing_missing_in_silence(bag_dir: Path) -> None:
    (table,) = (bag_dir / "data/completeness").iterdir()
    where = {row["first"]: row["where"] for row in rows(bag_dir, f"completeness/{table.name}")}
    assert where["5"] == "not received"
    assert where["1"] == where["6"] == "in this bag"
    (absent,) = json.loads((bag_dir / "data/completeness.json").read_text())["missing_media"]
    assert "have not all arrived" in absent["why"]
    assert "have not all arrived" in (bag_dir / "data/report.html").read_text()


def test_database_opens_and_agrees(bag_dir: Path) -> None:
    connection = sqlite3.connect(bag_dir / "data/incident.db")
    assert connection.execute("SELECT number, label FROM incident").fetchall() == [("INC-2026-000001", "handgun")]
    ids = {row[0] for row in connection.execute("SELECT envelope_id FROM alert")}
    connection.close()
    assert ids == {file.stem for file in (bag_dir / "data/alerts").glob("*.pae")}


def test_names_from_outside_are_harmless_in_html_and_spreadsheets(center: Path) -> None:
    bag_dir = unpack(exported(center, ALL), center.parent / "unpacked")
    assert not re.search(r"<b>gone|<script", (bag_dir / "data/report.html").read_text())
    history = (bag_dir / "data/keys/history.jsonl").read_text()
    assert "<b>gone</b>" in history
    for row in rows(bag_dir, "timeline.csv"):
        assert not any(cell.startswith(("=", "@", "+")) for cell in row.values())


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_no_cell_of_a_table_begins_like_a_formula(start: str) -> None:
    hostile = f"{start}HYPERLINK(A1)"
    (line,) = list(tables.csv_rows((hostile,), ()))
    ((cell,),) = csv.reader(io.StringIO(line.decode(), newline=""))
    assert cell == f"'{hostile}"
    inside = next(tables.csv_rows((f"a note{start}=HYPERLINK(A1)", "b"), ())).decode()
    assert list(csv.reader(io.StringIO(inside, newline=""))) == [[f"a note{start}=HYPERLINK(A1)", "b"]]
    assert next(tables.csv_rows(("-12", "12", "a-b"), ())) == b"-12,12,a-b\n", "numbers and words stay as they are"


def test_all_of_it_holds_the_whole_journal_and_the_history_before(center: Path) -> None:
    exported(center, ONE, "first.zip")
    bag_zip = exported(center, ALL, "second.zip")
    assert wrong_in(bag_zip) == ""
    said = "\n".join(claims(bag_zip))
    assert "entries (all there are)" in said
    assert "the journal begins with the one of size" in said
    assert "withdrawn by the authority" in said


async def _hostile(house: House) -> None:
    node, other = house.node("gate"), house.node("évil-ünïcode".replace("-", ""))
    first = node.alert(label='a,b"=1', camera="<i>né")
    await house.deliver(node, first)
    await show(house, node, first.id, b"\xff\xd8\xff\xe0 not a picture")
    await show(house, other, first.id, picture("not mine to show"))
    await show(house, other, bytes(32), picture("of no alert"))
    await house.deliver(node, node.say(Kind.ALERT, b"unreadable"), node.say(Kind.ANSWER, b"kept"))
    twin = node.alert(sequence=1)
    await house.deliver(node, twin)
    await house.deliver(node, node.alert(), node.heartbeat(forgone=((50, 60),)))


def test_whatever_nodes_send_the_export_verifies(tmp_path: Path) -> None:
    center = make(tmp_path / "center", _hostile)
    for name, chosen in (("one.zip", ONE), ("all.zip", ALL), ("range.zip", Selection(camera="<i>né"))):
        assert wrong_in(exported(center, chosen, name)) == ""


# ---------------------------------------------------------------------- determinism


def test_same_records_and_same_first_entry_make_the_same_bytes(center: Path) -> None:
    state = StateDir(center)
    keys = Keys(authority=Identity.load(state.authority_key_file), center=Identity.load(state.identity_key_file),
                center_passport=state.load_issuer().center_passport)  # fmt: skip
    occasion = Occasion(export="0" * 16, entry=1, at_ms=1_790_000_000_000)
    made: list[bytes] = []
    for name in ("a", "b"):
        connection = sqlite3.connect(state.database_file)
        with (center.parent / name).open("w+b") as stream:
            write_bag(stream, Reading(connection, keys.authority, BlobStore(state.blobs_dir)), ONE, keys, occasion)
        connection.close()
        made.append((center.parent / name).read_bytes())
    assert made[0] == made[1]


def test_a_second_export_differs_only_where_its_own_record_shows(center: Path) -> None:
    bags = [unpack(exported(center, ONE, f"{n}.zip"), center.parent / f"bag{n}") for n in (1, 2)]
    files = [{str(f.relative_to(bag)): f.read_bytes() for f in bag.rglob("*") if f.is_file()} for bag in bags]
    differing = {name for name in files[0].keys() | files[1].keys() if files[0].get(name) != files[1].get(name)}
    assert differing <= {
        "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt", "signatures/tagmanifest-sha256.txt.sig",
        "data/README.txt", "data/CERTIFICATION-902.pdf", "data/completeness.json", "data/custody/custody.csv",
        "data/timeline.csv", "data/report.html", "data/report.pdf", "data/incident.db", "data/journal/checkpoint",
        "data/journal/entries.jsonl", "data/journal/previous-checkpoint", "data/journal/consistency.jsonl",
    }  # fmt: skip


# ---------------------------------------------------------------------- bad input


def kinds(center: Path) -> list[str]:
    connection = sqlite3.connect(center / "center.sqlite")
    found = [row[0] for row in connection.execute("SELECT kind FROM entry WHERE kind LIKE 'export%' ORDER BY id")]
    connection.close()
    return found


def test_unknown_incident_is_refused_and_journalled(center: Path) -> None:
    for number in ("7", "INC-2019-000001"):
        with pytest.raises(NotFound, match=f"no incident {number}"):
            exported(center, Selection(incidents=(number,)))
    assert kinds(center) == ["export-started", "export-failed"] * 2
    assert not (center.parent / "bag.zip").exists()


def test_nothing_is_overwritten(center: Path) -> None:
    target_file = center.parent / "bag.zip"
    for make_it in (lambda: target_file.write_bytes(b"mine"), lambda: target_file.symlink_to("nowhere")):
        make_it()
        with pytest.raises(OperatorError, match="never overwritten"):
            exported(center)
        target_file.unlink()
    assert kinds(center) == ["export-started", "export-failed"] * 2


def test_full_disk_leaves_nothing_and_says_so(center: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.fsync, []

    def full(descriptor: int) -> None:
        if "partial" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            calls.append(descriptor)
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OperatorError, match="No space left on device; nothing was exported"):
        exported(center)
    assert calls, "the fault happened"
    assert sorted(p.name for p in center.parent.iterdir()) == ["center"]


def test_a_damaged_picture_is_left_out_and_named(center: Path) -> None:
    blobs = [f for f in (center / "blobs").rglob("*") if f.is_file()]
    for file in blobs:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    made = export(StateDir(center), ONE, center.parent / "bag.zip", SimulatedClock())
    assert any("damaged" in line for line in made.missing)
    assert wrong_in(made.file) == ""


def test_a_changed_journal_is_not_exported_as_evidence(center: Path) -> None:
    connection = sqlite3.connect(center / "center.sqlite")
    connection.execute("UPDATE entry SET actor = 'user:mallory' WHERE kind = 'viewed'")
    connection.commit()
    connection.close()
    with pytest.raises(OperatorError, match=r"entry \d+ was changed"):
        exported(center)


@pytest.mark.parametrize("blow", range(6))
def test_kill_during_export_leaves_no_half_bag_that_passes(center: Path, blow: int) -> None:
    """Killed by the kernel after some writes to the file: no name, or a whole bag."""
    code = f"""
import os, signal
from pathlib import Path
from command_center.evidence import archive, export
from command_center.evidence.selection import Selection
from command_center.state_dir import StateDir
from relay.clock import SimulatedClock
count = 0
real = archive.ArchiveWriter.add
def add(self, *a, **k):
    global count
    count += 1
    if count == {(1, 5, 20, 40, 60, 1000)[blow]}:
        self._stream.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, *a, **k)
archive.ArchiveWriter.add = add
if {blow} == 5:
    export.put_in_place = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
export.export(StateDir(Path({str(center)!r})), Selection(incidents=("1",)), Path({str(center.parent / "bag.zip")!r}), SimulatedClock())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == -9, done.stderr
    assert not (center.parent / "bag.zip").exists()
    partial = list(center.parent.glob(".bag.zip.*.partial"))
    assert partial
    if blow < 5:
        assert wrong_in(partial[0])
    assert wrong_in(exported(center)) == "", "and the next export works"


def test_zip_opens_elsewhere(bag_zip: Path) -> None:
    with zipfile.ZipFile(bag_zip) as archive:
        assert archive.testzip() is None
        assert all(item.compress_type == zipfile.ZIP_STORED for item in archive.infolist())


def test_memory_of_the_journal_is_the_one_exported(bag_dir: Path) -> None:
    """The leaves in the bag are the journal's own."""
    for line in (bag_dir / "data/journal/entries.jsonl").read_text().splitlines():
        e = json.loads(line)
        leaf = journal.leaf_of(e["id"], e["at_ms"], e["kind"], e["actor"], e["subject"], base64.b64decode(e["payload"]))
        assert leaf.hex() == e["leaf"]
    assert contents.SOFTWARE in (bag_dir / "bag-info.txt").read_text()
