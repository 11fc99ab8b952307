"""`model-bundle`: pack, verify and install models, and choose the one in use.

The only place of this package that prints and exits. Every command ends with 0, or with one line that says what was
expected, what was found and what to do.
"""

import hashlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from models import bundle, signers
from models.errors import ManifestInvalid, SignerKeyError
from models.manifest import Measurement, ModelManifest, Task, WeightsFormat
from models.registry import ModelId, Registry
from relay import command_line
from relay.errors import OperatorError

app = typer.Typer(
    help="Pack, verify and install models, and choose the one in use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

BundleArgument = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .heardmodel file.")]
SignerOption = Annotated[list[str] | None, typer.Option("--signer", help="A trusted public key, hexadecimal.")]
TrustOption = Annotated[Path | None, typer.Option("--trust", help="A file of trusted public keys, one on each line.")]
RegistryOption = Annotated[Path, typer.Option("--registry", help="The folder of installed models.")]


@app.command()
def pack(
    weights: Annotated[Path, typer.Argument(help="The weights: .onnx, .pt or .engine.")],
    *,
    to: Annotated[Path, typer.Option("--to", help="New bundle file; nothing is ever overwritten.")],
    key: Annotated[Path, typer.Option("--key", help="A file with the 32 raw bytes of an Ed25519 seed, mode 600.")],
    name: Annotated[str, typer.Option("--name", help="The model's name, such as yard-detector.")],
    version: Annotated[str, typer.Option("--version", help="Such as 1.0.0.")],
    labels: Annotated[str, typer.Option("--labels", help="The classes in the weights' order, with commas.")],
    license_: Annotated[str, typer.Option("--license", help="The weights' license.")],
    data_source: Annotated[str, typer.Option("--data-source", help="What the model learnt from.")],
    height: Annotated[int, typer.Option("--height", help="Input height, pixels.")] = 640,
    width: Annotated[int, typer.Option("--width", help="Input width, pixels.")] = 640,
    measured: Annotated[Path | None, typer.Option("--measured", help="Measurements, a JSON list.")] = None,
) -> None:
    """Sign weights and what is said about them into one bundle."""
    if to.exists():
        raise OperatorError(f"{to} is there already and is never overwritten: choose another name, or move it away")
    signing_key = signers.read_signing_key(key)
    size_bytes, digest = _measure(weights)
    manifest = ModelManifest(
        name=name,
        version=version,
        task=Task.DETECT,
        labels=tuple(label.strip() for label in labels.split(",")),
        input_height_px=height,
        input_width_px=width,
        format=_format_of(weights),
        weights_file=weights.name,
        weights_size_bytes=size_bytes,
        weights_sha256=digest,
        license=license_,
        data_source=data_source,
        measured=_measurements(measured),
        created_at_utc=datetime.now(UTC).replace(microsecond=0),
    )
    made = bundle.pack(manifest, weights, signing_key, to)
    print(f"{to}: {manifest.name} {manifest.version}, {size_bytes} bytes of weights, signer {made.signer.hex()}")


@app.command()
def verify(file: BundleArgument, signer: SignerOption = None, trust: TrustOption = None) -> None:
    """Check a bundle: layout, signature, manifest, weights."""
    checked = bundle.verify(file, _trusted(signer, trust))
    manifest = checked.manifest
    print(f"{file}: good; {manifest.name} {manifest.version}, signed by {checked.signer.hex()}")


@app.command()
def install(
    file: BundleArgument, registry: RegistryOption, signer: SignerOption = None, trust: TrustOption = None
) -> None:
    """Verify a bundle and take it into a registry, without using it yet."""
    print(Registry(registry, _trusted(signer, trust)).install(file))


@app.command()
def activate(
    model: Annotated[str, typer.Argument(help="An id that `install` or `list` printed.")],
    registry: RegistryOption,
    signer: SignerOption = None,
    trust: TrustOption = None,
) -> None:
    """Make an installed model the one in use."""
    selection = Registry(registry, _trusted(signer, trust)).activate(ModelId(model))
    print(f"active {selection.active}, previous {selection.previous or 'none'}")


@app.command()
def rollback(registry: RegistryOption, signer: SignerOption = None, trust: TrustOption = None) -> None:
    """Go back to the model that was in use before."""
    selection = Registry(registry, _trusted(signer, trust)).roll_back()
    print(f"active {selection.active}, previous {selection.previous or 'none'}")


@app.command("list")
def list_installed(registry: RegistryOption) -> None:
    """List the installed models. Not checked: whether they would pass."""
    known = Registry(registry, frozenset())
    selection = known.selection()
    for installed in known.installed():
        state = "installed"
        if selection is not None and installed == selection.active:
            state = "active"
        elif selection is not None and installed == selection.previous:
            state = "previous"
        print(f"{state:9} {installed}")


def main() -> None:
    """The console script."""
    try:
        command_line.run(app)
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(1)


def _trusted(named: list[str] | None, trust_file: Path | None) -> frozenset[bundle.Signer]:
    trusted = frozenset(signers.parse_signer(text) for text in named or ())
    if trust_file is not None:
        trusted |= signers.read_trust_file(trust_file)
    if not trusted:
        raise SignerKeyError("expected somebody to trust, found nobody: give --signer HEX or --trust FILE")
    return trusted


def _measure(weights: Path) -> tuple[int, str]:
    with weights.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
    return weights.stat().st_size, digest


def _format_of(weights: Path) -> WeightsFormat:
    try:
        return WeightsFormat(weights.suffix.removeprefix("."))
    except ValueError:
        known = ", ".join(f".{one.value}" for one in WeightsFormat)
        raise ManifestInvalid(f"expected weights that end in {known}, found {weights.name}") from None


def _measurements(file: Path | None) -> tuple[Measurement, ...]:
    if file is None:
        return ()
    try:
        return msgspec.json.decode(file.read_bytes(), type=tuple[Measurement, ...])
    except msgspec.DecodeError as error:
        raise ManifestInvalid(f"expected a JSON list of measurements in {file}: {error}") from error


if __name__ == "__main__":
    main()
