# SPDX-License-Identifier: Apache-2.0
"""All files of a bundle against its manifest: those that a runtime reads, and the documents for people."""

from __future__ import annotations

from pathlib import Path

from hqdit_mobile.runtime.manifest import MANIFEST, BundleError, Manifest, ModelFile
from hqdit_mobile.runtime.manifest_file import describe_file
from hqdit_mobile.runtime.signature import SIGNATURE


def describe_documents(folder: Path, manifest: Manifest) -> dict[str, ModelFile]:
    """What lies in the folder besides the manifest, its signature and the model files."""
    known = {MANIFEST, SIGNATURE, *(entry.path for entry in manifest.files.values())}
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return {name: describe_file(folder, name) for name in names if name not in known}


def check_digests(folder: Path, manifest: Manifest) -> list[str]:
    """Compares all files with the manifest; the names of those that it does not have.

    Documents may be missing, since apps leave them out. Raises BundleError naming a file that was changed.
    """
    found = describe_documents(folder, manifest)
    found |= {entry.path: describe_file(folder, entry.path) for entry in manifest.files.values()}
    for entry in (*manifest.files.values(), *manifest.documents.values()):
        if entry.path in found and found.pop(entry.path).sha256 != entry.sha256:
            raise BundleError(
                f"{folder / entry.path} has another SHA-256 than {MANIFEST} says: it was changed or damaged; copy the "
                "bundle again or export it again"
            )
    return sorted(found)
