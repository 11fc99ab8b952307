"""The models installed on one machine, which of them is in use, and which was in use before.

Layout: `installed/<model id>/` holds `manifest.json`, `manifest.sig` and the weights; `selection.json` names the
active model and the previous one. The registry keeps these invariants, through a kill at any moment:

1. A folder in `installed/` is whole: its files were fsynced before the folder got its name.
2. `selection.json` is absent, or names models that were verified just before it was written.
3. An intact model is never changed or removed.
4. Weights leave the registry only after signature, size and SHA-256 were checked again.

To install: verify the bundle; write its parts into `.incoming-*`, hashing as they pass; fsync files and folder;
rename it into `installed/`; fsync that. To activate or roll back: verify the model; write `.selection.json`, fsync;
rename it over `selection.json`; fsync the folder. A damaged model makes way (`.damaged-*`) just before
that rename. What a kill leaves behind (`.incoming-*`, `.damaged-*`) the next install sweeps away. One process changes a registry at a time; readers need no lock.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, NewType

import msgspec
from msgspec import Meta

from models.bundle import (
    MANIFEST_MEMBER,
    SIGNATURE_BYTES,
    SIGNATURE_MEMBER,
    Signer,
    VerifiedBundle,
    blocks_of,
    matches_manifest,
    signed_by,
    verify,
)
from models.errors import BundleRefused, NothingActive, NothingToRollBackTo, NotInstalled, RegistryBusy, RegistryDamaged
from models.manifest import MAX_MANIFEST_BYTES, ModelManifest, decode_manifest, model_id

ModelId = NewType("ModelId", str)
IdText = Annotated[str, Meta(pattern=r"^[a-z0-9._-]+@[0-9A-Za-z.+-]+-[0-9a-f]{12}\Z", max_length=128)]
MAX_SELECTION_BYTES: Final = 4096
SELECTION: Final = "selection.json"


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model is in use, and which was in use before it."""

    active: IdText
    previous: IdText | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedModel:
    """An installed model whose signature and weights were checked a moment ago."""

    id: ModelId
    manifest: ModelManifest
    signer: Signer
    weights_file: Path

    def read_weights(self) -> bytes:
        """The weights, from memory and checked as read: no file can be swapped between the check and the use.

        Raises:
            WeightsChanged: they changed since; keep what runs, and report it.
        """
        return b"".join(matches_manifest(blocks_of(self.weights_file), self.manifest))


class Registry:
    """A folder of installed models. Holds no open files; makes its folders when it first writes."""

    def __init__(self, registry_dir: Path, trusted: frozenset[Signer]) -> None:
        self._dir = registry_dir
        self._installed_dir = registry_dir / "installed"
        self._trusted = trusted

    def install(self, bundle_file: Path) -> ModelId:
        """Verifies a bundle and takes it in; it is not active by that.

        *Guarantees*: installing an intact model again changes nothing; a damaged one is replaced.

        Raises:
            BundleRefused: the bundle did not pass.
            RegistryBusy: another process is changing this registry; try again.
        """
        bundle = verify(bundle_file, self._trusted)
        made = ModelId(model_id(bundle.manifest, bundle.manifest_bytes))
        with self._changing():
            for left_over in (*self._dir.glob(".incoming-*"), *self._dir.glob(".damaged-*")):
                shutil.rmtree(left_over)
            if self._is_intact(made):
                return made
            incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=self._dir))
            try:
                self._fill(incoming, bundle)
                if made in self.installed():
                    (self._installed_dir / made).rename(self._dir / f".damaged-{made}")
                incoming.rename(self._installed_dir / made)
            except BaseException:  # whatever it was goes on; nothing half-taken stays
                shutil.rmtree(incoming, ignore_errors=True)
                raise
            _sync_dir(self._installed_dir)
        return made

    def activate(self, chosen: ModelId) -> Selection:
        """Makes an installed model the active one, and the active one the previous.

        Raises:
            NotInstalled: no such model here.
            BundleRefused: it no longer passes; install it again.
        """
        with self._changing():
            self.open(chosen)
            before = self._selection()
            if before is not None and before.active == chosen:
                return before
            after = Selection(active=chosen, previous=None if before is None else before.active)
            self._write_selection(after)
        return after

    def roll_back(self) -> Selection:
        """Makes the previous model active again; the one rolled back from becomes the previous.

        Raises:
            NothingToRollBackTo: there is no earlier model.
        """
        with self._changing():
            before = self._selection()
            if before is None or before.previous is None:
                raise NothingToRollBackTo(
                    f"expected an earlier model in {self._dir}, found none: `model-bundle activate` a named one"
                )
            self.open(ModelId(before.previous))
            after = Selection(active=before.previous, previous=before.active)
            self._write_selection(after)
        return after

    def selection(self) -> Selection | None:
        """What is active and previous; None while nothing was ever activated.

        Raises:
            RegistryDamaged: `selection.json` is not what this registry writes.
        """
        return self._selection()

    def installed(self) -> tuple[ModelId, ...]:
        """The models that are here, by name. *Not checked*: whether they would pass."""
        if not self._installed_dir.is_dir():
            return ()
        return tuple(ModelId(entry.name) for entry in sorted(self._installed_dir.iterdir()) if entry.is_dir())

    def open_active(self) -> VerifiedModel:
        """The model in use, verified again.

        Raises:
            NothingActive: nothing was activated yet.
            BundleRefused, RegistryDamaged: it no longer passes; roll back, or install it again.
        """
        selection = self._selection()
        if selection is None:
            raise NothingActive(f"expected an active model in {self._dir}, found none: `model-bundle activate` one")
        return self.open(ModelId(selection.active))

    def open(self, chosen: ModelId) -> VerifiedModel:
        """An installed model, its signature, size and SHA-256 checked again.

        Raises:
            NotInstalled: no such model here.
            BundleRefused: it no longer passes; install it again.
        """
        if chosen not in self.installed():
            raise NotInstalled(
                f"expected one of {', '.join(self.installed()) or 'no models'} in {self._dir}, found {chosen!r}"
            )
        model_dir = self._installed_dir / chosen
        payload = _bounded(model_dir / MANIFEST_MEMBER, MAX_MANIFEST_BYTES)
        signer = signed_by(payload, _bounded(model_dir / SIGNATURE_MEMBER, SIGNATURE_BYTES), self._trusted)
        manifest = decode_manifest(payload)
        if model_id(manifest, payload) != chosen:
            raise RegistryDamaged(f"{model_dir} holds {model_id(manifest, payload)}: install {chosen} again")
        weights_file = model_dir / manifest.weights_file
        if weights_file.is_symlink() or not weights_file.is_file():
            raise RegistryDamaged(f"expected a plain file at {weights_file}: install {chosen} again")
        for _ in matches_manifest(blocks_of(weights_file), manifest):
            pass
        return VerifiedModel(id=chosen, manifest=manifest, signer=signer, weights_file=weights_file)

    def _is_intact(self, chosen: ModelId) -> bool:
        if chosen not in self.installed():
            return False
        try:
            self.open(chosen)
        except (BundleRefused, RegistryDamaged):
            return False
        return True

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Holds the registry's lock; the kernel gives it back when the process dies."""
        self._installed_dir.mkdir(parents=True, exist_ok=True)
        with (self._dir / ".lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RegistryBusy(f"another process is changing {self._dir}: try again when it has ended") from error
            yield

    @staticmethod
    def _fill(incoming: Path, bundle: VerifiedBundle) -> None:
        _write(incoming / MANIFEST_MEMBER, [bundle.manifest_bytes])
        _write(incoming / SIGNATURE_MEMBER, [bundle.signature])
        _write(incoming / bundle.manifest.weights_file, bundle.weights())
        _sync_dir(incoming)

    def _selection(self) -> Selection | None:
        selection_file = self._dir / SELECTION
        if not selection_file.exists():
            return None
        try:
            return msgspec.json.decode(_bounded(selection_file, MAX_SELECTION_BYTES), type=Selection)
        except msgspec.DecodeError as error:
            raise RegistryDamaged(
                f"expected the active and previous model in {selection_file}, found something else ({error}): "
                "`model-bundle activate` a model again after removing that file"
            ) from error

    def _write_selection(self, selection: Selection) -> None:
        partial = self._dir / f".{SELECTION}"
        _write(partial, [msgspec.json.encode(selection) + b"\n"])
        partial.replace(self._dir / SELECTION)
        _sync_dir(self._dir)


def _write(file: Path, blocks: Iterable[bytes]) -> None:
    with file.open("wb") as sink:
        for block in blocks:
            sink.write(block)
        sink.flush()
        os.fsync(sink.fileno())


def _sync_dir(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _bounded(file: Path, most_bytes: int) -> bytes:
    """A small file of the registry's own."""
    try:
        with file.open("rb") as source:
            content = source.read(most_bytes + 1)
    except OSError as error:
        raise RegistryDamaged(f"expected a file at {file}: {error.strerror}; install the model again") from error
    if len(content) > most_bytes:
        raise RegistryDamaged(f"expected at most {most_bytes} bytes in {file}: install the model again")
    return content
