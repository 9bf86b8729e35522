# SPDX-License-Identifier: Apache-2.0
"""Results on disk, so that a killed run goes on: small .npz files, written whole or not at all."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from hqdit_mobile.util.atomic_write import whole_file


class StaleError(ValueError):
    """The output folder holds results of something else."""


class Store:
    """Arrays of one candidate in ``folder``, each file with the fingerprint of what it was made from."""

    def __init__(self, folder: Path, fingerprint: dict[str, Any]):
        self.folder, self.fingerprint = folder, fingerprint
        folder.mkdir(parents=True, exist_ok=True)

    def has(self, name: str) -> bool:
        """Raises StaleError if the file is there but was made from something else."""
        path = self.folder / f"{name}.npz"
        if not path.is_file():
            return False
        with _opened(path) as stored:
            made_from = json.loads(str(stored["fingerprint"]))
        require_same(path, self.fingerprint, made_from)
        return True

    def read(self, name: str) -> dict[str, np.ndarray]:
        with _opened(self.folder / f"{name}.npz") as stored:
            return {key: stored[key] for key in stored.files if key != "fingerprint"}

    def write(self, name: str, **arrays: np.ndarray) -> None:
        stream = io.BytesIO()
        everything: dict[str, Any] = {"fingerprint": np.array(json.dumps(self.fingerprint)), **arrays}
        np.savez(stream, **everything)
        write_whole(self.folder / f"{name}.npz", stream.getvalue())


def _opened(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise StaleError(f"{path} is damaged: delete it, and it will be made again") from error


def require_same(path: Path, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    if wanted == found:
        return
    differs = sorted(key for key in {*wanted, *found} if wanted.get(key) != found.get(key))
    raise StaleError(
        f"{path} was made with other values of {', '.join(differs)}: choose another --output or delete {path.parent}"
    )


def write_whole(path: Path, data: bytes) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(data)
