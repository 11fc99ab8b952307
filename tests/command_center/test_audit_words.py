"""The audit in words: every kind has its English, names are those of that time, and searches take what is shown and what is written."""

import ast
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import command_center
from command_center import views
from command_center.accounts import UserRole, register
from command_center.api.audit import LOOKS
from command_center.audit import pages, terms, wording
from command_center.evidence import deeds, tables
from command_center.facts import Remark
from tests.command_center.console_desk import center_of_today
from tests.command_center.console_scene import PLANS, busy_evening
from tests.command_center.house import House, running_center

KIND = re.compile(r"[a-z]+(-[a-z]+)*")
KEYWORD_WRITERS = {"append", "add", "note"}
WRITERS = {"record": 2, "remark": 2, "_remark": 2, "_journal": 3, "_journal_merger": 2, "_step": 2, "_note": 2}
"""Functions that write an entry, or hand its kind to one that does: by keyword; among so many first arguments."""
Row = dict[str, Any]


def kinds_in_the_program() -> Iterator[str]:
    """Every kind that program text names where entries are written."""
    whole = Path(command_center.__file__).parent
    for file in set(whole.rglob("*.py")) - set(
        (whole / "evidence" / "verifier").rglob("*.py")
    ):  # that one writes no journal
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            meant: list[ast.expr] = [
                word.value for word in call.keywords if word.arg == "kind" and name in KEYWORD_WRITERS
            ]
            meant += call.args[: WRITERS.get(name, 0)]
            for part in (part for value in meant for part in ast.walk(value)):
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and KIND.fullmatch(part.value):
                    yield part.value


def test_every_kind_that_is_written_has_words_of_its_own() -> None:
    written = {
        *kinds_in_the_program(),
        *views._APPLIERS,
        *tables.CUSTODY,
        *tables._REMARKS,
        *tables._ARRIVALS,
        *deeds.WORDS,
        *LOOKS,
    }
    assert len(written) > 80, "the program text was read"
    assert written - wording.SAID.keys() == set()
    assert len(set(wording.SAID.values())) == len(wording.SAID), "two kinds in the same words could not be told apart"
    assert not [words for words in wording.SAID.values() if re.search(r"[-_:]", words)]
    for kind, words in wording.SAID.items():
        assert wording.kind_meant(words.upper()) == wording.kind_meant(kind) == kind
    assert wording.said("of-a-later-release") == "of a later release"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running_center(tmp_path / "center") as made:
        yield made


async def found(client: httpx.AsyncClient, page: str = "entries", **wanted: object) -> list[Row]:
    """Every entry of these, whatever number of pages they take."""
    rows: list[Row] = []
    before: int | None = None
    while True:
        asked = {"limit": 500, **wanted, **({"before": before} if before else {})}
        answer = await client.get(f"/api/v1/audit/{page}", params={name: str(value) for name, value in asked.items()})
        assert answer.status_code == 200, answer.text
        rows += answer.json()[page]
        before = answer.json()["next_before"]
        if before is None:
            return [row for row in rows if (row.get("kind") or row["what"]) != "journal-read"]


async def test_nothing_of_a_busy_evening_is_shown_in_a_machines_words(tmp_path: Path) -> None:
    async with center_of_today(tmp_path / "center", plans=PLANS) as house:
        await busy_evening(house)
        async with house.signed_in("vera", UserRole.AUDITOR) as client:
            rows = await found(client)
            listed = (await client.get("/api/v1/audit/kinds")).json()["kinds"]
    assert len({row["kind"] for row in rows}) > 20
    assert [row for row in rows if row["said"] != wording.SAID[row["kind"]]] == []
    for row in rows:
        assert not re.search(r"[a-z]:|[0-9a-f]{16}", f"{row['by']} {row['about']}"), row
    assert {row["by"] for row in rows} > {
        "command center",
        "rivera, supervisor",
        "harbor-01, camera",
        "relay-harbor, relay",
        "vera, auditor",
    }
    assert "as supervisor, false alarm: a broom, carried by the cleaner" in {row["detail"] for row in rows}
    about = {row["about"] for row in rows}
    assert about >= {"M21, unit", "shift", "command center"}
    assert any(re.fullmatch(r"INC-\d{4}-000002", word) for word in about)
    assert any(re.fullmatch(r"picture [0-9a-f]{12}…", word) for word in about)
    assert {kind["kind"] for kind in listed} == set(wording.SAID)
    assert {kind["kind"] for kind in listed if kind["is_look"]} == set(LOOKS)


async def test_a_persons_role_is_the_one_that_they_had_at_that_entry(house: House) -> None:
    async with house.signed_in("okafor") as client:
        await client.get("/api/v1/incidents/1")
    await house.database.run(
        lambda c: register.set_role(
            c, name="okafor", role=UserRole.AUDITOR, unit="", at_ms=5, by="user:local-administrator"
        )
    )
    async with house.browser() as client, house.signed_in("vera", UserRole.AUDITOR) as auditor:
        signed = await client.post("/api/v1/session", json={"username": "okafor", "password": "correct horse battery"})
        assert signed.status_code == 200
        rows = await found(auditor, actor="okafor", kind="signed in")
        assert [row["by"] for row in rows] == ["okafor, auditor", "okafor, dispatcher"]
        changed = await found(auditor, kind="role-changed")
        assert [(row["by"], row["about"]) for row in changed] == [("local administrator, command line", "okafor")]


async def test_filters_take_what_is_shown_and_what_is_written(house: House) -> None:
    gate, yard = house.node("gate-01"), house.node("yard")
    await house.deliver(gate, gate.alert())
    await house.deliver(yard, yard.alert(camera="far"))
    async with house.signed_in("okafor") as client, house.signed_in("vera", UserRole.AUDITOR) as auditor:
        await client.post("/api/v1/incidents/1/acknowledge", json={"version": 1})
        number = (await client.get("/api/v1/incidents/1")).json()["number"]
        written = await found(auditor, actor="user:okafor")
        assert {"incident-acknowledged", "viewed", "signed-in"} <= {row["kind"] for row in written}
        for name in ("okafor", "okafor, dispatcher", "Okafor"):
            assert await found(auditor, actor=name) == written
        of_gate = await found(auditor, actor=f"node:{gate.id.hex()}")
        assert [row["kind"] for row in of_gate].count("alert") == 1
        assert await found(auditor, actor="gate-01") == await found(auditor, actor="gate-01, camera") == of_gate
        assert await found(auditor, actor="command center") == await found(auditor, actor="center") != []
        assert await found(auditor, actor="gate") == [], "a name is a whole one"
        acts = await found(auditor, kind="incident-acknowledged")
        assert [(row["said"], row["about"]) for row in acts] == [("incident acknowledged", number)]
        assert await found(auditor, kind="incident acknowledged") == acts
        assert await found(auditor, text="Incident Acknow") == acts
        assert (
            await found(auditor, subject="incident:1")
            == await found(auditor, subject=number)
            == await found(auditor, text=number)
        )
        assert await found(auditor, subject="gate-01") == await found(auditor, subject=f"node:{gate.id.hex()}") != []
        by_name = await found(auditor, text="ate-0")
        assert {row["kind"] for row in by_name} >= {"alert", "node-admitted"}
        assert all("gate-01" in f"{row['by']} {row['about']}" for row in by_name)
        looked = await found(auditor, "looks", kind="viewed", actor="okafor, dispatcher")
        assert {(row["said"], row["by"], row["who"]) for row in looked} == {
            ("viewed", "okafor, dispatcher", "user:okafor")
        }


async def test_words_find_the_same_from_the_index_as_without_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [house.node(f"pole-{number:03}") for number in range(8)]
    for node in nodes:
        await house.deliver(node, node.alert(), node.alert(camera="other"))
    async with house.signed_in("vera", UserRole.AUDITOR) as client:
        asked: list[dict[str, str]] = [
            {"text": "pole"},
            {"text": "pole-003"},
            {"text": "node adm"},
            {"text": "alert"},
            {"actor": "pole-001"},
        ]
        scanned = [await found(client, **one) for one in asked]
        assert all(scanned)
        index = house.services.audit_index
        while index._fill(500, is_last=True)[0]:
            pass
        reads: list[str] = []
        question = terms.question

        def watched(*groups: Iterable[str]) -> str:
            reads.append(question(*groups))
            return reads[-1]

        monkeypatch.setattr(terms, "question", watched)
        assert [await found(client, **one) for one in asked] == scanned
        assert all(reads), "the index was asked"
        monkeypatch.setattr(pages, "MOST_NAMED", 3)
        assert [await found(client, **one) for one in asked] == scanned
        assert not all(reads), "of more names than it takes, it was not"


def test_look_of_somebody_without_a_role_says_where_from_and_no_as() -> None:
    assert tables._remark("viewed", Remark(what="incident:2", address="10.0.0.7")) == "from 10.0.0.7"
    assert tables._remark("viewed", Remark(what="incident:2", detail="auditor", address="10.0.0.7")) == (
        "as auditor from 10.0.0.7"
    )
