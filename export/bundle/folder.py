# SPDX-License-Identifier: Apache-2.0
"""The folder of a bundle: nothing of it is seen before all of it is written."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hqdit_mobile.runtime.manifest import MANIFEST, BundleError
from hqdit_mobile.util.exchange import exchange


@contextmanager
def staged_folder(output: Path, force: bool) -> Iterator[Path]:
    """Yields a temporary folder beside ``output`` that takes its place on success and disappears on any failure.

    Whenever the process is killed, there is the old bundle or the new one; ``put_back`` finds what is left beside.
    Raises BundleError as ``check_output`` does.
    """
    check_output(output, force)
    output.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    staging.chmod(0o755)
    try:
        yield staging
        _replace(output, staging)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _replace(output: Path, staging: Path) -> None:
    if not output.exists():
        os.rename(staging, output)
    elif exchange(output, staging):
        shutil.rmtree(staging)
    else:
        put_back(output)
        os.rename(output, _old(output))
        os.rename(staging, output)
        shutil.rmtree(_old(output))


def _old(output: Path) -> Path:
    """Where a bundle lies while another takes its place. No staging folder is called so: their names end at random."""
    return output.with_name(f".{output.name}.hqdit-old")


def put_back(output: Path) -> None:
    """What an export that was killed between two renames left of the bundle that it was replacing.

    Only for who holds the work folder's lock: another export could be between its two renames.
    """
    if not output.exists() and _old(output).is_dir():
        os.rename(_old(output), output)
    shutil.rmtree(_old(output), ignore_errors=True)


def real_output(output: Path) -> Path:
    """``output`` with a name that others can lie beside: of the folder itself where it is a link, "." or ".."."""
    if output.name in ("", "..") or (output.is_symlink() and output.exists()):
        return Path(os.path.realpath(output))
    return output


def check_output(output: Path, force: bool) -> None:
    """Raises BundleError if ``output`` exists and ``force`` is false, if it is no bundle of ours (--force must not
    delete somebody's documents), or if no folder can be made there."""
    if output.exists():
        if not force:
            raise BundleError(f"{output} exists; choose another --output-dir or replace it with --force")
        if not output.is_dir() or (any(output.iterdir()) and not (output / MANIFEST).is_file()):
            raise BundleError(f"{output} is not a bundle (it has no {MANIFEST}), so --force will not replace it")
    elif output.is_symlink():
        raise BundleError(f"{output} is a link to nothing; remove it or choose another --output-dir")
    there = next(folder for folder in (output.parent, *output.parents) if folder.exists())
    if not there.is_dir():
        raise BundleError(f"{output}: {there} is no folder; choose another --output-dir")
    try:
        # Modes do not tell it all: root passes them, and a read-only disk does not care for them.
        # The name is no shorter than the longest that will lie beside the output.
        os.rmdir(tempfile.mkdtemp(prefix=f".{output.name}.hqdit", dir=there))
    except OSError as error:
        raise BundleError(f"{output}: no folder can be made in {there} ({error.strerror})") from error


def check_space(output: Path, needed: int) -> None:
    """Raises BundleError if the disk of ``output`` has not ``needed`` bytes free."""
    there = next(folder for folder in output.parents if folder.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise BundleError(
            f"{output}: the export needs about {needed / 1e9:.1f} GB there for a while and {free / 1e9:.1f} GB are "
            "free; free some space or choose an --output-dir on another disk"
        )


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
