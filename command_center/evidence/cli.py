"""``command-center export | verify | hold | release | holds | retain | erase | redact``: evidence on the command line."""

import asyncio
import base64
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from command_center import admin_door
from command_center.blobs import BlobStore
from command_center.custody import fetching, retention
from command_center.custody.commands import (
    CheckpointGive,
    FetchBegin,
    FetchLook,
    HoldList,
    HoldPlace,
    HoldRelease,
    ObjectErase,
    RedactionList,
    RedactionSet,
    Retain,
)
from command_center.errors import BadRequest
from command_center.evidence import record, timestamping
from command_center.evidence.export import export, incidents_of
from command_center.evidence.progress import Progress
from command_center.evidence.selection import Selection, selection_of
from command_center.evidence.steps import TIMESTAMPED, EvidenceExport
from command_center.evidence.verify_cli import verify_command
from command_center.performing import DEFAULT_STATE, Json, State, perform, show
from command_center.state_dir import StateDir
from command_center.unsealing import MAX_SEALED_BYTES, Unseal, Unsealed
from relay.clock import SystemClock
from relay.errors import OperatorError, SpoolBusy
from relay.identity import Identity

app = typer.Typer()
app.command(name="verify")(verify_command)
Incidents = Annotated[list[str], typer.Argument(help="Incidents, as INC-2026-000007 or 7.")]
Why = Annotated[str, typer.Option(help="The case or the request; kept in the journal.")]


@app.command(name="export")
def export_command(
    to: Annotated[Path, typer.Option("--to", help="New ZIP file; nothing is ever overwritten.")],
    incident: Annotated[list[str] | None, typer.Argument(help="Incidents, as INC-2026-000007 or 7.")] = None,
    *,
    state: State = DEFAULT_STATE,
    everything: Annotated[bool, typer.Option("--all", help="All incidents and the whole journal.")] = False,
    since: Annotated[
        str, typer.Option("--from", help="Incidents with an alert since then, e.g. 2026-11-20T23:00Z.")
    ] = "",
    until: Annotated[str, typer.Option("--until", help="Incidents that began before then.")] = "",
    camera: Annotated[str, typer.Option(help="Incidents of this camera.")] = "",
    against: Annotated[
        Path | None, typer.Option(help="A checkpoint that somebody holds: prove that history begins with it.")
    ] = None,
    unredacted: Annotated[
        bool, typer.Option("--unredacted", help="Originals of what is redacted, too: for a court.")
    ] = False,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="First have the nodes send the clips that are not here.")
    ] = False,
    fetch_within: Annotated[
        float, typer.Option(help="Seconds within which a node must answer.")
    ] = fetching.ANSWER_WITHIN_S,
) -> None:
    """Write incidents as evidence that anybody can check offline: a BagIt bag in a ZIP."""
    chosen = selection_of(incident or [], is_all=everything, since=since, until=until, camera=camera)
    chosen = replace(chosen, is_unredacted=unredacted)
    own, progress = StateDir(state), Progress()
    prepare = (lambda: _fetch(own, chosen, progress, fetch_within)) if fetch else None
    made = export(own, chosen, to, SystemClock(), progress=progress, prepare=prepare, against=read_checkpoint(against))
    print(f"{made.file}: {made.size_bytes} bytes; SHA-256 of its tag manifest {made.tag_manifest_sha256.hex()}")
    if made.timestamp:
        print(f"timestamp: {made.timestamp}")
    for line in made.missing:
        print(f"missing: {line}")
    print(f"Check it: command-center verify {made.file} --authority {made.authority}")


@app.command(name="timestamp")
def add_timestamp(
    place: Annotated[Path, typer.Argument(help="A bag of this center, ZIP or folder.", show_default=False)],
    state: State = DEFAULT_STATE,
) -> None:
    """Add the word of a time-stamping authority to a bag that has none."""
    own = StateDir(state)
    own.require_initialized()
    said, identifier = timestamping.add(place, own.load_config().timestamp, Identity.load(own.identity_key_file))
    record.write(own, SystemClock(), EvidenceExport(step=TIMESTAMPED, export=identifier, detail=said))
    print(f"{place}: timestamp {said}")


@app.command(name="checkpoint")
def give_checkpoint(
    to: Annotated[str, typer.Option(help="Who gets it; kept in the journal.")], state: State = DEFAULT_STATE
) -> None:
    """Print the newest signed checkpoint for somebody outside to keep; later bags prove that history begins with it."""
    show(perform(state, CheckpointGive(to=to)))


@app.command(name="hold")
def hold(incident: Incidents, reason: Why, state: State = DEFAULT_STATE) -> None:
    """Put incidents on legal hold: nothing of them is deleted, here or at a node."""
    show(perform(state, HoldPlace(incidents=tuple(incident), reason=reason)))


@app.command(name="release")
def release(incident: Incidents, reason: Why, state: State = DEFAULT_STATE) -> None:
    """End a legal hold."""
    show(perform(state, HoldRelease(incidents=tuple(incident), reason=reason)))


@app.command(name="holds")
def holds(state: State = DEFAULT_STATE, as_json: Json = False) -> None:
    """Show what is on hold, and whether the nodes know."""
    show(perform(state, HoldList()), as_json=as_json)


@app.command(name="retain")
def retain(
    days: Annotated[
        float, typer.Option(help="Days for which pictures and clips are kept after their incident was closed.")
    ],
    state: State = DEFAULT_STATE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
) -> None:
    """Delete pictures and clips whose time is over; each leaves a tombstone, and every proof stays."""
    outcome = perform(state, Retain(days=days, is_dry_run=dry_run))
    _unlink(StateDir(state))
    show(outcome)


@app.command(name="erase")
def erase(
    sha256: Annotated[str, typer.Argument(help="The picture or clip, by its SHA-256.")],
    reason: Why,
    state: State = DEFAULT_STATE,
) -> None:
    """Delete one picture or clip before its time: by a court's order, or because the law says so. Nothing on hold goes."""
    outcome = perform(state, ObjectErase(sha256=sha256, reason=reason))
    _unlink(StateDir(state))
    show(outcome)


def _unlink(own: StateDir) -> None:
    """Delete the files that tombstones name; a running center does so itself within a minute."""
    try:
        database = own.open_database()
    except SpoolBusy:
        return
    try:
        retention.unlink(database, BlobStore(own.blobs_dir))
    finally:
        database.close()


@app.command(name="redact")
def redact(
    sha256: Annotated[str, typer.Argument(help="The picture, by its SHA-256; nothing: show what is redacted.")] = "",
    region: Annotated[list[str] | None, typer.Option(help="left,top,width,height in pixels; may be repeated.")] = None,
    mode: Annotated[
        Literal["black", "blur", "withhold", "none"], typer.Option(help="none: given away as it is again.")
    ] = "black",
    reason: Why = "",
    state: State = DEFAULT_STATE,
) -> None:
    """Say what of a picture is not given away. Exports then hold a masked copy and the original's digest."""
    if not sha256:
        show(perform(state, RedactionList()))
        return
    regions = tuple(_region(text) for text in region or [])
    chosen = "" if mode == "none" else mode
    show(perform(state, RedactionSet(sha256=sha256, mode=chosen, regions_px=regions, reason=reason)))


def read_checkpoint(file: Path | None) -> bytes:
    """A checkpoint that somebody kept; nothing where no file is named."""
    if file is None:
        return b""
    try:
        return file.read_bytes()
    except OSError as error:
        raise OperatorError(f"can't read the checkpoint {file}: {error.strerror}") from error


def _region(text: str) -> tuple[int, int, int, int]:
    try:
        left, top, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise BadRequest(f"expected a region as left,top,width,height in pixels, found {text!r}") from None
    return left, top, width, height


def _fetch(state: StateDir, chosen: Selection, progress: Progress, answer_within_s: float) -> None:
    async def work() -> None:
        begun = await admin_door.ask(state.admin_socket_file, FetchBegin(incidents=incidents_of(state, chosen)))
        if begun is None:
            raise OperatorError(
                "expected a running center, found none: only it can ask nodes; start it, or export without --fetch"
            )
        alerts = tuple(msgspec.json.decode(begun.data, type=list[str]))

        async def look() -> list[fetching.Item]:
            answered = await admin_door.ask(state.admin_socket_file, FetchLook(alerts=alerts))
            if answered is None:
                raise OperatorError("the center stopped while nodes were sending: start it and export again")
            items = msgspec.json.decode(answered.data, type=list[fetching.Item])
            _show_progress(items)
            return items

        for line in await fetching.wait_for(look, progress, answer_within_s=answer_within_s):
            print(line)

    asyncio.run(work())


def _show_progress(items: list[fetching.Item]) -> None:
    """One line, written over itself, on a terminal; nothing in a pipe."""
    if sys.stderr.isatty():
        done, total = sum(item.done_bytes for item in items), sum(item.total_bytes for item in items)
        here = sum(item.is_here for item in items)
        print(
            f"\rfetching: {here} of {len(items)} clips here, {done} of {total} bytes ",
            end="",
            file=sys.stderr,
            flush=True,
        )


@app.command(name="unseal")
def unseal_command(
    sealed: Annotated[Path, typer.Argument(help="ALERT.sealed, carried here from a node's folder `originals`.")],
    to: Annotated[Path, typer.Option("--to", help="New JPEG file; nothing is ever overwritten.")],
    reason: Why,
    state: State = DEFAULT_STATE,
) -> None:
    """Open the unmasked picture of an alert; that it was opened, by whom and why, stands in the journal first."""
    if to.exists():
        raise BadRequest(f"{to} is there already: choose another name")
    try:
        data = sealed.read_bytes()
    except OSError as error:
        raise BadRequest(f"can't read {sealed}: {error.strerror}") from error
    if len(data) > MAX_SEALED_BYTES:
        raise BadRequest(f"expected a sealed picture of at most {MAX_SEALED_BYTES} bytes, found {len(data)}")
    outcome = perform(state, Unseal(name=sealed.name, sealed=data, reason=reason))
    unsealed = msgspec.json.decode(outcome.data, type=Unsealed)
    to.write_bytes(base64.b64decode(unsealed.picture_base64))
    print(f"{to}: sha256 {unsealed.sha256}")
