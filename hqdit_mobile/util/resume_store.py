# SPDX-License-Identifier: Apache-2.0
"""The finished parts of a long job on disk, so that a killed one goes on where it was."""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

IDENTITY = "identity.json"
LOCK = "lock"
PART = ".part"  # of a file that is not whole yet


class WorkFolderError(ValueError):
    """A work folder that belongs to something else; the message says how to get rid of it."""


class WorkFolder:
    """A folder of named parts, each one safetensors file that is either whole or absent; a context manager.

    identity: what the parts depend on. A folder with another identity is refused, because parts of two jobs would make
    a model of neither. Without a path the folder is a temporary one, gone at the end.
    """

    def __init__(self, path: Path | None = None, identity: Mapping[str, Any] | None = None):
        self._keep = path is not None
        self.path = path or Path(tempfile.mkdtemp(prefix="hqdit-"))
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = (self.path / LOCK).open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise WorkFolderError(f"{self.path} is in use by another export of the same output; wait for it") from error
        self._claim(json.loads(json.dumps(identity or {})))

    def _claim(self, identity: dict[str, Any]) -> None:
        file = self.path / IDENTITY
        try:
            found = json.loads(file.read_text()) if file.is_file() else None
        except json.JSONDecodeError:
            found = {}
        if found is None:
            # The folder is deleted in the end: it has to be ours.
            if foreign := {path.name for path in self.path.iterdir()} - {LOCK, f"{IDENTITY}{PART}"}:
                raise WorkFolderError(f"{self.path} has no {IDENTITY} but {min(foreign)}; move or delete that folder")
            self._write(file, json.dumps(identity, indent=2).encode())
        elif found != identity:
            different = sorted(key for key in found.keys() | identity.keys() if found.get(key) != identity.get(key))
            raise WorkFolderError(
                f"{self.path} holds an unfinished export that differs in {', '.join(different)}: repeat that export to "
                "finish it, or delete that folder to start anew"
            )

    def __enter__(self) -> WorkFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What failed before anything was finished leaves nothing worth a folder beside the output.
        if not self._keep or kind is None or not any(self.path.glob("*.safetensors")):
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()

    def _write(self, file: Path, data: bytes) -> None:
        part = file.with_name(f"{file.name}{PART}")
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, file)

    def put(self, name: str, tensors: Mapping[str, Tensor], about: Any) -> None:
        """Stores tensors and a JSON value under `name`, whole or not at all; does nothing in a temporary folder."""
        if self._keep:
            contiguous = {key: tensor.contiguous() for key, tensor in tensors.items()}
            self._write(self.path / f"{name}.safetensors", save(contiguous, {"about": json.dumps(about)}))

    def get(self, name: str) -> tuple[dict[str, Tensor], Any] | None:
        """What `put` stored, or None."""
        file = self.path / f"{name}.safetensors"
        if not file.is_file():
            return None
        with safe_open(file, "pt") as stored:
            tensors = {key: stored.get_tensor(key).clone() for key in stored.keys()}  # noqa: SIM118 (not a dict)
            return tensors, json.loads(stored.metadata()["about"])

    def array(self, name: str, shape: tuple[int, ...], new: bool) -> Tensor:
        """A float32 tensor [shape] that lives in the file `name`: a new one, or with what it held before."""
        file, size = self.path / f"{name}.f32", 4 * math.prod(shape)
        if not new and (not file.is_file() or file.stat().st_size != size):
            raise WorkFolderError(f"{file} is missing or cut short; delete {self.path} to start anew")
        return torch.from_numpy(np.memmap(file, dtype=np.float32, mode="w+" if new else "r+", shape=shape))

    def sync(self, name: str) -> None:
        """Returns when the array `name` is on the disk: before a part that relies on it."""
        if self._keep:
            with (self.path / f"{name}.f32").open("rb+") as stream:
                os.fsync(stream.fileno())
