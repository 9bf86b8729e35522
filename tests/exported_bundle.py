# SPDX-License-Identifier: Apache-2.0
"""The reference model's bundle for tests, kept until something that it is made of changes."""

import hashlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from parallel import folder_kept

import hqdit_mobile
import hqdit_mobile.export

# What an export does not run, and what compiling leaves behind.
APART = ("evaluate", "bench", "__pycache__")
VERSIONS = ("torch", "executorch", "torchao", "numpy", "diffusers")


def sources_digest() -> str:
    """Of the installed package, native libraries and reference model included, and of what it is lowered by."""
    digest = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in VERSIONS).encode())
    # An editable install has the sources and what CMake built in two folders, and those of the export in a third.
    for root in map(Path, [*hqdit_mobile.__path__, *hqdit_mobile.export.__path__]):
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root)
            if path.is_file() and not set(APART) & set(name.parts):
                digest.update(f"{name.as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def export(folder: Path) -> None:
    command = [Path(sys.executable).parent / "hqdit-export", "--num-calibration-samples", "4"]
    done = subprocess.run([*command, "-o", folder / "emoji-android"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def exported_emoji_bundle(cache: Path) -> Path:
    """The bundle in the cache that belongs to these sources, exported if there is none."""
    return folder_kept(cache, sources_digest(), export) / "emoji-android"
