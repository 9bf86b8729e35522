# SPDX-License-Identifier: Apache-2.0
"""manifest.json in a bundle's folder: reading it with every check that spans fields or files, and writing it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import msgspec

from hqdit_mobile.diffusion.process import ProcessError
from hqdit_mobile.runtime.manifest import (
    MANIFEST,
    SCHEMA_VERSION,
    BundleError,
    Condition,
    Manifest,
    ModelFile,
    Quantization,
    Source,
)
from hqdit_mobile.runtime.schema_1 import from_schema_1
from hqdit_mobile.runtime.signature import check_signature
from hqdit_mobile.util.texts import controls_in

MAX_BYTES = 2 << 20  # the engine's limit, too: a manifest of 10,000 classes with long names has a third of it


def read_manifest(folder: Path, public_keys: Sequence[str] = ()) -> Manifest:
    """Reads and checks manifest.json and looks for the files that it names (sizes, not digests).

    Args:
        folder: of the bundle.
        public_keys: each 64 hexadecimal digits; one of them must have signed the bundle, where there are any.

    Returns:
        The manifest, of the newest schema.

    Raises:
        BundleError: a file is missing or damaged, or a field has no sense; the message names it.
        SignatureError: none of ``public_keys`` has signed it.
    """
    text = read_manifest_text(folder)
    if public_keys:
        check_signature(folder, text, public_keys)
    path = folder / MANIFEST
    manifest = parse_manifest(text, str(path))
    for entry in manifest.files.values():
        file = folder / entry.path
        if not file.resolve().is_relative_to(folder.resolve()):
            raise BundleError(f"{path}: {entry.path} points outside the bundle")
        if not file.is_file():
            raise BundleError(f"{file} is missing; copy the whole bundle or export it again")
        if (size := file.stat().st_size) != entry.bytes:
            raise BundleError(f"{file} has {size} bytes, {MANIFEST} says {entry.bytes}: the copy is incomplete")
    return manifest


def read_manifest_text(folder: Path) -> bytes:
    """The bytes that a signature is over; raises BundleError."""
    path = folder / MANIFEST
    try:
        if not path.is_file():
            raise BundleError(f"{path.parent} is not a bundle: it has no {MANIFEST}")
        if path.stat().st_size > MAX_BYTES:
            raise BundleError(f"{path} has more than {MAX_BYTES >> 20} MB, which no manifest needs")
        return path.read_bytes()
    except (OSError, RuntimeError) as error:  # pathlib's RuntimeError: links that go round
        raise BundleError(f"{path} cannot be read: {error}") from error


def parse_manifest(text: bytes, name: str = MANIFEST) -> Manifest:
    """``name``: what errors call it. Raises BundleError naming the field at fault."""
    try:
        values = msgspec.json.decode(text)
        version = values.get("schema_version") if isinstance(values, dict) else None
        if version == 1:
            values = from_schema_1(values, Quantization.__struct_fields__) | {"schema_version": SCHEMA_VERSION}
        elif version != SCHEMA_VERSION:
            raise BundleError(
                f"{name}: schema_version is {version!r}, this version reads 1 and {SCHEMA_VERSION}; export the bundle "
                "again or update hqdit-mobile"
            )
        manifest = msgspec.convert(values, Manifest)
        manifest.process.build()
    except ProcessError as error:
        raise BundleError(f"{name}: process.{error}; export the bundle again") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{name} is no manifest ({error}); export the bundle again") from error
    if missing := {"transformer", "vae_decoder"} - set(manifest.files):
        raise BundleError(f"{name}: files has no {min(missing)}; export the bundle again")
    if manifest.model.null_label is None:
        _check_unguided(manifest, name)
    elif manifest.methods.guided is None:
        raise BundleError(f"{name}: methods.guided: is missing, but model.null_label is there; export the bundle again")
    if fault := controls_in(_texts(manifest)):
        raise BundleError(f"{name}: {fault}, which would change what a terminal or an app shows around it")
    if len(manifest.labels) != manifest.model.num_classes:
        raise BundleError(f"{name}: {len(manifest.labels)} labels for {manifest.model.num_classes} classes")
    _check_conditions(manifest, name)
    return manifest


def _check_unguided(manifest: Manifest, name: str) -> None:
    if manifest.methods.guided is not None:
        raise BundleError(f"{name}: methods.guided: needs model.null_label, which is missing; export the bundle again")
    if manifest.defaults.guidance_scale != 1:
        raise BundleError(
            f"{name}: defaults.guidance_scale: must be 1 where there is no model.null_label; export the bundle again"
        )


def _check_conditions(manifest: Manifest, name: str) -> None:
    """Engines, apps and pipelines draw by class: what a bundle's programs take must be its label."""
    if not manifest.conditions:
        return
    label = Condition(name="label", type="int64", null=manifest.model.null_label)
    if [condition.name for condition in manifest.conditions] != [label.name]:
        names = ", ".join(condition.name for condition in manifest.conditions)
        raise BundleError(f"{name}: conditions are {names}; this version draws by label alone: update hqdit-mobile")
    if manifest.conditions != [label]:
        raise BundleError(
            f"{name}: conditions: the label must be one int64 with the null value model.null_label; export the bundle "
            "again"
        )


def _texts(manifest: Manifest) -> dict[str, str | list[str]]:
    """What people get to see."""
    source = manifest.source or Source(model="", licence="", random_weights=False)
    return {
        "name": manifest.name,
        "target": manifest.target,
        "runtime": manifest.runtime,
        "labels": manifest.labels,
        "conditions": [condition.name for condition in manifest.conditions],
        "source.model": source.model,
        "source.licence": source.licence,
        "tools": [*manifest.tools, *manifest.tools.values()],
        "files": [entry.path for entry in manifest.files.values()],
        "documents": [entry.path for entry in manifest.documents.values()],
    }


def write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def describe_file(folder: Path, name: str) -> ModelFile:
    """The manifest's entry for a file of the bundle."""
    path = folder / name
    with path.open("rb") as stream:
        return ModelFile(path=name, bytes=path.stat().st_size, sha256=sha256_of(stream))


def sha256_of(stream: IO[bytes]) -> str:
    """Of what follows in the stream, in hexadecimal digits."""
    digest = hashlib.sha256()
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()
