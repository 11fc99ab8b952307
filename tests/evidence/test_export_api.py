"""Exports ordered over the API: progress, downloads that go on, who may, and what the journal says of it."""

import asyncio
import re
import shutil
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from command_center.accounts import UserRole
from command_center.api.app import create_app
from command_center.api.read_only import AUDITORS_MAY, SAFE
from command_center.evidence.export import Exported, NoteStep, export
from command_center.evidence.export_office import MOST_WAITING
from command_center.evidence.progress import Progress
from command_center.evidence.selection import Selection
from command_center.state_dir import StateDir
from relay.clock import SimulatedClock
from tests.command_center.house import House, running_center
from tests.evidence.scene import play, wrong_in

EXPORTS = "/api/v1/exports"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running_center(tmp_path / "center") as made:
        await play(made)
        yield made


async def finished(client: httpx.AsyncClient, identifier: str) -> dict[str, Any]:
    for _ in range(1200):
        job: dict[str, Any] = (await client.get(f"{EXPORTS}/{identifier}")).json()
        if job["state"] not in {"waiting", "running"}:
            return job
        await asyncio.sleep(0.05)
    raise AssertionError(f"not finished: {job}")


async def ordered(client: httpx.AsyncClient, **body: object) -> dict[str, Any]:
    answer = await client.post(EXPORTS, json=body)
    assert answer.status_code == 202, answer.text
    return await finished(client, answer.json()["id"])


async def kinds(house: House, subject: str) -> list[tuple[object, ...]]:
    return await house.query("SELECT kind, actor FROM entry WHERE subject = ? ORDER BY id", subject)


@pytest.mark.parametrize("role", [UserRole.SUPERVISOR, UserRole.AUDITOR, UserRole.ADMINISTRATOR])
async def test_ordered_fetched_in_ranges_and_verified(house: House, tmp_path: Path, role: UserRole) -> None:
    async with house.signed_in("erin", role) as client:
        job = await ordered(client, incidents=["INC-2026-000001"])
        assert job["state"] == "done", job
        assert (job["by"], job["selection"]) == ("erin", "incidents INC-2026-000001")
        assert any("have not all arrived" in line for line in job["missing"])
        whole = await client.get(job["file_url"])
        assert whole.headers["content-type"] == "application/zip"
        assert len(whole.content) == job["size_bytes"] == job["done_bytes"]
        half = len(whole.content) // 2
        first = await client.get(job["file_url"], headers={"Range": f"bytes=0-{half - 1}"})
        tag = first.headers["etag"]
        rest = await client.get(job["file_url"], headers={"Range": f"bytes={half}-", "If-Range": tag})
        assert (first.status_code, rest.status_code) == (206, 206)
        assert first.content + rest.content == whole.content
        other = await client.get(job["file_url"], headers={"Range": f"bytes={half}-", "If-Range": '"another"'})
        assert other.status_code == 200, "of another file the whole comes"
        bag_file = tmp_path / "bag.zip"
        bag_file.write_bytes(whole.content)
        assert wrong_in(bag_file, authority=job["authority"]) == ""
        good = (await client.post("/api/v1/verifications?name=mine.zip", content=whole.content)).json()
        assert (good["passed"], good["problem"]) == (True, "")
        assert len(good["claims"]) >= 8
        bad = (
            await client.post("/api/v1/verifications", content=whole.content[:half] + b"?" + whole.content[half + 1 :])
        ).json()
        assert not bad["passed"]
        assert bad["problem"].startswith(("data/", "bag.zip"))
        foreign = await client.post("/api/v1/verifications?authority=" + "0" * 64, content=whole.content)
        assert "another agency's" in foreign.json()["problem"]
    said = await kinds(house, f"export:{job['id']}")
    assert said == [("export-started", "user:erin"), ("export-finished", "user:erin"), ("export-fetched", "user:erin")]
    assert len(await house.query("SELECT 1 FROM entry WHERE kind = 'bag-verified'")) == 3
    assert not list((house.state.root_dir / "exports").glob("verify-*")), "nothing of an upload is kept"


async def test_by_range_and_all(house: House) -> None:
    async with house.signed_in("erin", UserRole.AUDITOR) as client:
        assert (await ordered(client, camera="cam9"))["selection"] == "incidents camera cam9"
        assert (await ordered(client, everything=True))["state"] == "done"
        since = await ordered(client, since="2026-09-21", until="2027-01-01")
        assert since["state"] == "done"
        listed = (await client.get(EXPORTS)).json()["exports"]
        assert [job["id"] for job in listed].count(since["id"]) == 1
        assert len(listed) == 3


async def test_bad_orders_say_why_and_stand_in_the_journal(house: House) -> None:
    async with house.signed_in("erin", UserRole.AUDITOR) as client:
        for body, text in (({}, "only one of these"), ({"incidents": ["seven"]}, "found 'seven'"), ({"since": "yesterday"}, "a time"),
                           ({"incidents": ["1"], "everything": True}, "only one of these")):  # fmt: skip
            answer = await client.post(EXPORTS, json=body)
            assert (answer.status_code, text in answer.json()["detail"]) == (422, True), answer.text
        job = await ordered(client, incidents=["99"])
        assert (job["state"], job["file_url"]) == ("failed", None)
        assert "no incident 99" in job["problem"]
        assert (await client.get(f"{EXPORTS}/{job['id']}/file")).status_code == 404
        assert (await client.get(f"{EXPORTS}/nothing")).status_code == 404
    assert [row[0] for row in await kinds(house, f"export:{job['id']}")] == ["export-started", "export-failed"]
    assert sorted(p.suffix for p in (house.state.root_dir / "exports").iterdir()) == []


async def test_dispatchers_get_no_evidence_and_the_denial_is_journalled(house: House) -> None:
    async with house.signed_in("bob", UserRole.DISPATCHER) as client:
        for method, path in (("POST", EXPORTS), ("GET", EXPORTS), ("GET", f"{EXPORTS}/x/file"), ("POST", "/api/v1/verifications"),
                             ("GET", "/api/v1/audit/entries"), ("GET", "/api/v1/audit/looks")):  # fmt: skip
            answer = await client.request(method, path, json={} if method == "POST" else None)
            assert answer.status_code == 403, path
    assert len(await house.query("SELECT 1 FROM entry WHERE kind = 'denied' AND actor = 'user:bob'")) == 6
    async with house.browser() as stranger:
        assert (await stranger.get(EXPORTS)).status_code == 401


async def test_stopped_export_leaves_nothing_and_only_so_many_wait(house: House) -> None:
    office, gate = house.services.exports, threading.Event()

    def slow(target_file: Path, progress: Progress, note: NoteStep, name: str) -> Exported:
        gate.wait(30)
        progress.advance(1)
        raise AssertionError("it was stopped before")

    names = [office.order(Selection(is_all=True), "erin", slow) for _ in range(MOST_WAITING)]
    async with house.signed_in("erin", UserRole.AUDITOR) as client, house.browser() as _:
        full = await client.post(EXPORTS, json={"everything": True})
        assert full.status_code == 422
        assert "exports wait already" in full.json()["detail"]
        for name in names:
            assert (await client.delete(f"{EXPORTS}/{name}")).status_code == 204
        gate.set()
        for name in names:
            job = await finished(client, name)
            assert (job["state"], job["problem"]) == ("stopped", "stopped by erin: nothing was exported")
        assert (await client.delete(f"{EXPORTS}/{names[0]}")).status_code == 204
        assert (await client.get(f"{EXPORTS}/{names[0]}")).status_code == 404
    assert not list((house.state.root_dir / "exports").iterdir())


async def test_auditor_deletes_only_exports_of_their_own(house: House) -> None:
    async with house.signed_in("sam", UserRole.SUPERVISOR) as client:
        job = await ordered(client, incidents=["1"])
    async with house.signed_in("erin", UserRole.AUDITOR) as client:
        answer = await client.delete(f"{EXPORTS}/{job['id']}")
        assert (answer.status_code, "of their own" in answer.json()["detail"]) == (403, True)
        assert (await client.get(job["file_url"])).status_code == 200


async def test_finished_exports_outlive_a_restart_until_their_time_is_over(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house:
        await play(house)
        async with house.signed_in("erin", UserRole.AUDITOR) as client:
            job = await ordered(client, incidents=["1"])
            content = (await client.get(job["file_url"])).content
    exports_dir = tmp_path / "center/exports"
    (exports_dir / ".abc.zip.x.partial").write_bytes(b"left by a kill")
    (exports_dir / "fedc.zip").write_bytes(b"without its record")
    async with running_center(tmp_path / "center", clock=house.clock) as house:
        assert {file.suffix for file in exports_dir.iterdir()} == {".zip", ".json"}
        async with house.browser() as client:
            await client.post("/api/v1/session", json={"username": "erin", "password": "correct horse battery"})
            assert (await client.get(job["file_url"])).content == content
        house.clock.advance(25 * 3_600_000)
        house.services.exports.keep_house()
        assert not list(exports_dir.iterdir())


def test_progress_is_told_and_ends_at_the_size(history: Path, tmp_path: Path) -> None:
    class Watched(Progress):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[tuple[str, int, int]] = []

        def advance(self, by_bytes: int) -> None:
            super().advance(by_bytes)
            self.seen.append(self.now)

    state, progress = StateDir(Path(shutil.copytree(history, tmp_path / "center"))), Watched()
    export(state, Selection(is_all=True), tmp_path / "bag.zip", SimulatedClock(), progress=progress)
    phases = list(dict.fromkeys(phase for phase, _, _ in progress.seen))
    assert phases == ["statements", "pictures and clips", "journal and reports"]
    media = [(done, total) for phase, done, total in progress.seen if phase == "pictures and clips"]
    assert media[-1][0] == media[-1][1] > 0
    assert [done for done, _ in media] == sorted(done for done, _ in media)


# ---------------------------------------------------------------------- auditors


def api_routes(routes: Iterable[object]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        else:  # later releases of FastAPI keep an included router whole
            yield from api_routes(getattr(getattr(route, "original_router", None), "routes", ()))


async def test_every_changing_address_refuses_an_auditor(house: House) -> None:
    """Enumerated from the application itself: a router of tomorrow is in this list."""
    app = create_app(house.services)
    changing = [(method, route.path) for route in api_routes(app.routes)
                for method in sorted((route.methods or set()) - SAFE)]  # fmt: skip
    assert len(changing) > 12
    async with house.signed_in("erin", UserRole.AUDITOR) as client:
        for method, path in changing:
            if (method, path) in AUDITORS_MAY:
                continue
            answer = await client.request(method, re.sub(r"\{[^}]*\}", "1", path), json={"version": 1})
            assert answer.status_code == 403, f"{method} {path}: {answer.status_code} {answer.text}"
            assert "an auditor may look, not act" in answer.text
    denied = await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'denied' AND actor = 'user:erin'")
    assert denied[0][0] == len(set(changing) - AUDITORS_MAY)
    assert set(changing) >= AUDITORS_MAY, "nothing is allowed that is not there"


async def test_an_auditor_searches_and_sees_who_looked_at_what(house: House) -> None:
    async with house.signed_in("erin", UserRole.AUDITOR) as client:
        await ordered(client, incidents=["1"])
        of_incident = (await client.get("/api/v1/audit/looks?incident=1")).json()["looks"]
        assert {(look["who"], look["what"]) for look in of_incident} == {
            ("user:alice", "viewed"), ("user:erin", "journal-read"),
        }, "who reads about others is read about"  # fmt: skip
        all_looks = (await client.get("/api/v1/audit/looks")).json()["looks"]
        assert ("user:erin", "export-finished") in {(look["who"], look["what"]) for look in all_looks}
        own_looks = (await client.get("/api/v1/audit/looks?actor=user:erin&incident=1")).json()["looks"]
        assert [look["what"] for look in own_looks] == ["journal-read"]
        found = (await client.get("/api/v1/audit/entries", params={"text": "STOLEN"})).json()["entries"]
        assert [entry["kind"] for entry in found] == ["node-standing"]
        own = (await client.get("/api/v1/audit/entries?incident=1&kind=alert")).json()["entries"]
        assert len(own) == 2
        assert all("number" in entry["detail"] for entry in own)
        pages, before = [], None
        while True:
            page = (
                await client.get("/api/v1/audit/entries", params={"limit": 7, **({"before": before} if before else {})})
            ).json()
            pages += [entry["id"] for entry in page["entries"]]
            before = page["next_before"]
            if before is None:
                break
        assert pages == sorted(pages, reverse=True)
        assert pages[-1] == 1
        assert len(pages) == len(set(pages)) == pages[0]
        early = (await client.get("/api/v1/audit/entries?until_ms=1")).json()
        assert (early["entries"], early["next_before"]) == ([], None)


async def test_shapes_are_in_the_openapi_document(house: House) -> None:
    async with house.browser() as client:
        document = (await client.get("/api/v1/openapi.json")).json()
    assert {"ExportOrder", "ExportJob", "Verification", "AuditEntries", "Looks"} <= document["components"][
        "schemas"
    ].keys()
    assert "application/zip" in document["paths"]["/api/v1/verifications"]["post"]["requestBody"]["content"]
