"""The standby's copy: after every crash it is what a leader had after one of its commits."""

import errno
import os
from pathlib import Path
from random import Random

import pytest

from command_center.standby import page_file
from command_center.standby.page_file import PageFile, Record, digest_of
from relay.committed_pages import PAGE_BYTES
from relay.errors import DiskFull, SpoolDamaged

RUN = b"r" * 16


def a_record(number: int, *, more: bool = False, pages: int = 3, in_all: int = 20) -> Record:
    dice = Random(number)
    changed = [(dice.randrange(in_all) + 1, dice.randbytes(PAGE_BYTES)) for _ in range(pages)]
    return Record(pages=changed, more=more, pages_in_all=in_all, run=RUN, sequence=number)


class Model:
    """The same, in memory."""

    def __init__(self) -> None:
        self.pages: dict[int, bytes] = {}
        self.staged: list[tuple[int, bytes]] = []
        self.states: list[tuple[int, dict[int, bytes]]] = []
        """After each commit: its sequence, and all pages."""

    def take(self, record: Record) -> None:
        self.staged += record.pages
        if not record.more:
            self.pages |= dict(self.staged)
            self.staged = []
            self.states.append((record.sequence, dict(self.pages)))


def open_file(folder: Path) -> PageFile:
    return PageFile(folder / "center.sqlite", folder / "standby.redo")


def kill(file: PageFile) -> None:
    """Let go of it without a word."""
    file._redo.close()
    os.close(file._database)


def found(folder: Path) -> dict[int, bytes]:
    content = (folder / "center.sqlite").read_bytes()
    pages = {at // PAGE_BYTES + 1: content[at : at + PAGE_BYTES] for at in range(0, len(content), PAGE_BYTES)}
    return {number: page for number, page in pages.items() if page != bytes(PAGE_BYTES)}


def test_what_was_taken_is_there_and_says_whose_it_is(tmp_path: Path) -> None:
    model, file = Model(), open_file(tmp_path)
    assert not file.is_whole
    for number in range(1, 30):
        record = a_record(number, more=number % 3 == 1)
        model.take(record)
        file.take(record)
        if not record.more:
            assert found(tmp_path) == model.pages
            assert (file.run, file.sequence) == (RUN, number)
    assert file.digests(5, 2) == digest_of(model.pages[5]) + digest_of(model.pages[6])
    assert len(file.digests(15, 100)) == 16 * 6
    file.close()
    file = open_file(tmp_path)
    assert (file.run, file.sequence, file.is_whole) == (RUN, 29, True)
    file.close()


@pytest.mark.parametrize("seed", range(40))
def test_a_cut_anywhere_leaves_what_one_commit_left(tmp_path: Path, seed: int) -> None:
    """Power goes: of the redo file a beginning is there, of the database any pages that were written since."""
    dice, model, file = Random(seed), Model(), open_file(tmp_path)
    before = (tmp_path / "center.sqlite").read_bytes()
    written = [len((tmp_path / "standby.redo").read_bytes())]
    for number in range(1, 13):
        record = a_record(number, more=dice.random() < 0.4)
        model.take(record)
        file.take(record)
        written.append((tmp_path / "standby.redo").stat().st_size)
    cut = dice.randrange(written[0], written[-1] + 1)
    os.truncate(tmp_path / "standby.redo", cut)
    on_disk = dict[int, bytes]()  # a page goes there only once its redo is durable
    for sequence, pages in model.states:
        if written[sequence] <= cut:
            on_disk |= {number: page for number, page in pages.items() if dice.random() < 0.5}
    with (tmp_path / "center.sqlite").open("r+b") as stream:
        stream.truncate(0)
        stream.write(before)
        for number, page in on_disk.items():
            stream.seek((number - 1) * PAGE_BYTES)
            stream.write(page)
    kill(file)
    again = open_file(tmp_path)
    if again.sequence:
        assert found(tmp_path) == dict(model.states)[again.sequence]
        later = [sequence for sequence, _ in model.states if sequence > again.sequence]
        assert not later or written[later[0]] > cut, "all that was whole in the redo file counts"
    else:
        assert found(tmp_path) == {}
    again.close()


def test_what_came_without_its_end_does_not_count(tmp_path: Path) -> None:
    file = open_file(tmp_path)
    file.take(a_record(1))
    held = found(tmp_path)
    file.take(a_record(2, more=True))
    assert found(tmp_path) == held
    file.forget_staged()
    file.take(Record(pages=[], more=False, pages_in_all=20, run=RUN, sequence=3))
    assert found(tmp_path) == held
    file.take(a_record(4, more=True))
    kill(file)
    file = open_file(tmp_path)
    assert (found(tmp_path), file.sequence) == (held, 3)
    file.close()


def test_a_file_that_shrinks_is_cut(tmp_path: Path) -> None:
    file = open_file(tmp_path)
    file.take(a_record(1))
    file.take(Record(pages=[(1, b"a" * PAGE_BYTES)], more=False, pages_in_all=2, run=RUN, sequence=2))
    assert (tmp_path / "center.sqlite").stat().st_size == 2 * PAGE_BYTES
    file.close()


def test_the_redo_file_does_not_grow_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_file, "REDO_BYTES", 100_000)
    model, file = Model(), open_file(tmp_path)
    for number in range(1, 60):
        file.take(a_record(number))
        model.take(a_record(number))
        assert (tmp_path / "standby.redo").stat().st_size < 130_000
    file.close()
    open_file(tmp_path).close()
    assert found(tmp_path) == model.pages


def test_a_full_disk_is_told_and_hides_nothing_that_comes_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = open_file(tmp_path)
    file.take(a_record(1))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", full)
        with pytest.raises(OSError, match="No space"):
            file.take(a_record(2))
    file.take(a_record(3))
    held = found(tmp_path)
    kill(file)
    file = open_file(tmp_path)
    assert (file.sequence, found(tmp_path)) == (3, held)
    expected = Model()
    expected.take(a_record(1))
    expected.take(a_record(3))
    assert held == expected.pages
    file.close()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", full)
        with pytest.raises(DiskFull, match="can't keep a copy"):
            open_file(tmp_path)


def test_a_database_that_somebody_else_wrote_to_is_refused(tmp_path: Path) -> None:
    open_file(tmp_path).close()
    (tmp_path / "center.sqlite-wal").write_bytes(b"x")
    with pytest.raises(SpoolDamaged, match="has written to the standby's database"):
        open_file(tmp_path)
