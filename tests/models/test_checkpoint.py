"""What a weights file is, told without opening it."""

import pickle
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from models.checkpoint import FileKind, kind_of, refuse_legacy_checkpoint
from models.demonstration import WEIGHTS_FILE
from models.errors import BundleMalformed


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_is_known_by_its_first_bytes(tmp_path: Path, protocol: int) -> None:
    file = tmp_path / "harmless.txt"
    file.write_bytes(pickle.dumps({"a": 1}, protocol))
    assert kind_of(file) is FileKind.PICKLE


def test_kinds_are_told_apart_whatever_the_name(tmp_path: Path) -> None:
    checkpoint, archive, empty = tmp_path / "a.onnx", tmp_path / "b.pt", tmp_path / "c.pt"
    with zipfile.ZipFile(checkpoint, "w") as made:
        made.writestr("archive/data.pkl", b"")
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("manifest.json", b"")
    empty.touch()
    assert [kind_of(file) for file in (checkpoint, archive, empty, WEIGHTS_FILE)] == [
        FileKind.PYTORCH_ARCHIVE,
        FileKind.ARCHIVE,
        FileKind.OTHER,
        FileKind.OTHER,
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=some.binary(max_size=200))
def test_any_pickled_bytes_are_judged_or_refused_and_never_crash(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "best.pt"
    file.write_bytes(b"\x80\x04" + content)
    try:
        refuse_legacy_checkpoint(file)
    except BundleMalformed:
        return


def test_something_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"PK\x03\x04 and then nothing", b"onnx"):
        file = tmp_path / "best.pt"
        file.write_bytes(content)
        with pytest.raises(BundleMalformed, match="PyTorch checkpoint"):
            refuse_legacy_checkpoint(file)
