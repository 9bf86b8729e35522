# SPDX-License-Identifier: Apache-2.0
"""A bundle: one folder that an app loads, described by manifest.json (schema version 1)."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"


class BundleError(ValueError):
    """A bundle that cannot be used, or written; the message names the file or field and the fix."""


@contextmanager
def staged_folder(output: Path, force: bool) -> Iterator[Path]:
    """Yields a temporary folder beside ``output`` that takes its place on success and disappears on any failure.

    Raises BundleError if ``output`` exists and ``force`` is false, or if it exists and is no bundle of ours: --force
    must not delete somebody's documents.
    """
    check_output(output, force)
    output.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    staging.chmod(0o755)
    try:
        yield staging
        replaced = None
        if output.exists():
            replaced = Path(tempfile.mkdtemp(prefix=f".{output.name}.old.", dir=output.parent))
            os.rename(output, replaced / "bundle")
        os.rename(staging, output)
        if replaced:
            shutil.rmtree(replaced)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def check_output(output: Path, force: bool) -> None:
    if not output.exists():
        return
    if not force:
        raise BundleError(f"{output} exists; choose another --output-dir or replace it with --force")
    if not output.is_dir() or (any(output.iterdir()) and not (output / MANIFEST).is_file()):
        raise BundleError(f"{output} is not a bundle (it has no {MANIFEST}), so --force will not replace it")


def describe_file(folder: Path, name: str) -> dict[str, Any]:
    """The manifest's entry for a file: path inside the bundle, size in bytes, SHA-256."""
    path = folder / name
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return {"path": name, "bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads and checks manifest.json; raises BundleError naming the field at fault."""
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(f"{folder} is not a bundle: it has no {MANIFEST}")
    try:
        manifest = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise BundleError(f"{path} is not valid JSON ({error}); export the bundle again") from error
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise BundleError(
            f"{path}: schema_version is {manifest.get('schema_version')!r}, this version reads {SCHEMA_VERSION}; "
            "export the bundle again or update hqdit-mobile"
        )
    for entry in manifest["files"].values():
        file = folder / entry["path"]
        if not file.resolve().is_relative_to(folder.resolve()):
            raise BundleError(f"{path}: {entry['path']} points outside the bundle")
        if not file.is_file():
            raise BundleError(f"{file} is missing; copy the whole bundle or export it again")
        if file.stat().st_size != entry["bytes"]:
            raise BundleError(
                f"{file} has {file.stat().st_size} bytes, {MANIFEST} says {entry['bytes']}: the copy is incomplete"
            )
    return manifest


def limit_for_tiles(memory: dict[str, int]) -> int:
    """The highest memory limit under which the engine does not decode a picture whole; of a manifest's ``memory``."""
    return max(memory["peak_bytes"], memory["arena_bytes"]) - 1


def memory_text(memory: dict[str, int]) -> str:
    """What to say of a manifest's ``memory``."""
    tiled = memory.get("tiled_peak_bytes")
    text = f"{memory['peak_bytes'] / 1e6:.0f} MB at most while drawing"
    return f"{text}, {tiled / 1e6:.0f} MB under a limit that makes it decode in tiles" if tiled else text
