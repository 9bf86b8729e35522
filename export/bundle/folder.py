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


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
