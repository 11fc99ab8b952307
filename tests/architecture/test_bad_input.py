"""The table of bad input in ``docs/developer.md``: every name in it is counted somewhere, every test exists and looks for a name."""

import ast
import re
from pathlib import Path

import pytest

ROOT_DIR = Path(__file__).parents[2]
_ROW = re.compile(
    r"^\| (?P<input>[^|]+) \| (?P<what>[^|]+) \| `(?P<name>\w+)` \| `(?P<file>[\w/.]+)::(?P<test>\w+)` \|$",
    re.MULTILINE,
)
_SECTION = (
    (ROOT_DIR / "docs" / "developer.md")
    .read_text(encoding="utf-8")
    .partition("## Bad input\n")[2]
    .partition("\n## ")[0]
)
ROWS = [match.groupdict() for match in _ROW.finditer(_SECTION)]
WANTED = ("garbage", "truncation", "oversize", "forgery", "replay", "another authority", "chain fork", "flood", "full disk",
          "half a file", "nonsense")  # fmt: skip

OF_BYTES_ALONE = ("test_decoder_takes_any_bytes",)
"""No station is there that could say anything."""


def test_every_kind_of_bad_input_has_its_row() -> None:
    assert len(ROWS) == _SECTION.count("\n| ") - 1, "a row that the table's form does not fit"
    inputs = " / ".join(row["input"] for row in ROWS)
    assert [kind for kind in WANTED if kind not in inputs] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["input"])
def test_its_name_is_counted_and_its_test_is_there(row: dict[str, str]) -> None:
    sources = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT_DIR / "relay").rglob("*.py"))
    assert f'"{row["name"]}"' in sources, f"nothing counts {row['name']}"
    source = (ROOT_DIR / row["file"]).read_text(encoding="utf-8")
    found = [ast.get_source_segment(source, node) or "" for node in ast.walk(ast.parse(source))
             if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == row["test"]]  # fmt: skip
    assert found, f"{row['file']} has no {row['test']}"
    assert "shown(" in found[0] or row["test"] in OF_BYTES_ALONE, "it does not look at what status prints"
