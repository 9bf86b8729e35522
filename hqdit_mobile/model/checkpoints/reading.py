# SPDX-License-Identifier: Apache-2.0
"""Reads files that nobody vouches for: nothing in them is run, and whatever is wrong with one names it in a line."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from hqdit_mobile.model.checkpoints.plain_objects import plain_globals

WEIGHTS = "diffusion_pytorch_model"
LARGEST_JSON = 16 << 20  # bytes; also of the header of a safetensors file
LFS_POINTER = b"version https://git-lfs"


class CheckpointError(ValueError):
    """A checkpoint or configuration is not what it should be; the message names the file and the field or tensor."""


def one_line(text: object, length: int = 300) -> str:
    """``text`` without line breaks or control characters, cut to ``length``."""
    words = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return words if len(words) <= length else words[: length - 3] + "..."


@contextmanager
def explained(file: Path) -> Iterator[None]:
    """Whatever a library raises while it reads ``file`` becomes a CheckpointError with the file's name."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        if harmful := re.search(r"GLOBAL ([\w.]+) whose module \w+ is blocked", str(error)):
            raise CheckpointError(f"{file} calls {harmful[1]} when it is read, as no model does: delete it") from error
        if unknown := re.search(r"GLOBAL ([\w.]+) was not an allowed global", str(error)):
            raise CheckpointError(
                f"{file} holds an object of {unknown[1]}, which is not built because that could run code; if you trust "
                f"it, save its weights alone: torch.save(torch.load('{file.name}', weights_only=False)['ema'], "
                "'weights.pt')"
            ) from error
        why = str(error).rpartition("WeightsUnpickler error:")[2]  # torch's words before it are advice
        raise CheckpointError(f"{file} cannot be read: {type(error).__name__}: {one_line(why)}") from error


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """A CheckpointError from what ``file`` held gets its name, unless it has that already."""
    try:
        yield
    except CheckpointError as error:
        if file.name in str(error):
            raise
        raise CheckpointError(f"{file}: {error}") from error


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object, with or without a byte order mark, all of its numbers finite."""
    _check_file(file)
    if file.stat().st_size > LARGEST_JSON:
        raise CheckpointError(f"{file} has {file.stat().st_size} bytes, too many for a configuration")

    def refuse(constant: str) -> None:
        raise CheckpointError(f"{file} has the value {constant}; numbers must be finite")

    with explained(file):
        value = json.loads(file.read_text(encoding="utf-8-sig"), parse_constant=refuse)
    if not isinstance(value, dict):
        raise CheckpointError(f"{file} holds a {type(value).__name__}, not a JSON object")
    return value


def read_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of a file of weights alone (.safetensors, or .bin by torch.save): its own pages where it allows."""
    loaded = read_safetensors(file) if file.suffix == ".safetensors" else read_torch(file)
    return tensors_of(loaded, file)


def read_safetensors(file: Path) -> dict[str, Tensor]:
    _check_file(file)
    with file.open("rb") as stream:
        header = int.from_bytes(stream.read(8), "little")
    if header > LARGEST_JSON:
        raise CheckpointError(f"{file} says that its header has {header} bytes, too many for a network")
    with explained(file):
        return load_file(file)


def read_torch(file: Path) -> Any:
    """What torch.save wrote: tensors and plain values. Settings that training scripts save beside them, such as an
    argparse.Namespace, become dictionaries; any other object is refused, and nothing of the file is run."""
    _check_file(file)
    is_archive = zipfile.is_zipfile(file)
    if is_archive:
        _check_archive(file)
    with explained(file), torch.serialization.safe_globals(plain_globals()):
        # Files from before torch 1.6 are no archives and cannot be mapped.
        return torch.load(file, map_location="cpu", weights_only=True, mmap=is_archive)


def _check_archive(file: Path) -> None:
    """torch.save compresses nothing: a compressed part may be a thousand times the file when it is read."""
    with explained(file), zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
    if packed := [part.filename for part in parts if part.compress_type != zipfile.ZIP_STORED]:
        raise CheckpointError(f"{file} has compressed parts ({named(packed)}), which torch.save does not write")


def tensors_of(value: Any, file: Path) -> dict[str, Tensor]:
    """``value`` if it is a state dict. Raises CheckpointError saying what it is instead."""
    if not isinstance(value, Mapping):
        raise CheckpointError(f"{file} holds a {type(value).__name__}, not tensors by name")
    other = [key for key, v in value.items() if not (isinstance(key, str) and isinstance(v, Tensor))]
    if other:
        raise CheckpointError(f"{file} has no tensor under {named(other)}")
    return dict(value)


def named(names: Any, most: int = 4) -> str:
    """The first few names, quoted, and how many more there are."""
    names = [one_line(name, 80) for name in names]
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def weight_files(folder: Path) -> list[Path]:
    """The files with the weights of a diffusers component: one, the shards of an index, or the only variant."""
    for suffix in (".safetensors", ".bin"):
        if (single := folder / f"{WEIGHTS}{suffix}").is_file():
            return [single]
        if (index := folder / f"{WEIGHTS}{suffix}.index.json").is_file():
            return sorted({folder / shard for shard in _shards(index).values()})
    variants = sorted(file for file in folder.glob(f"{WEIGHTS}.*.safetensors") if file.is_file())
    if len(variants) == 1:
        return variants
    if variants:
        raise CheckpointError(
            f"{folder} has weights in {len(variants)} variants ({named(file.name for file in variants)}): keep one, "
            f"or rename it to {WEIGHTS}.safetensors"
        )
    raise FileNotFoundError(f"{folder} has no {WEIGHTS}.safetensors, .bin, index of shards or variant")


def read_component(folder: Path) -> dict[str, Tensor]:
    """All tensors of a diffusers component. Raises CheckpointError where an index and its shards disagree."""
    files = weight_files(folder)
    state: dict[str, Tensor] = {}
    for file in files:
        tensors = read_weights(file)
        if twice := state.keys() & tensors.keys():
            raise CheckpointError(f"{file} holds {named(sorted(twice))} once more")
        state |= tensors
    for index in folder.glob(f"{WEIGHTS}{files[0].suffix}.index.json"):
        if len(files) > 1 and (differ := _shards(index).keys() ^ state.keys()):
            raise CheckpointError(f"{index} and its files differ in {named(sorted(differ))}")
    return state


def _shards(index: Path) -> dict[str, str]:
    """File name by tensor name."""
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise CheckpointError(f"{index}: weight_map is missing")
    for shard in shards.values():
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise CheckpointError(f"{index}: {one_line(shard)!r} is no name of a file beside it")
    return shards


def _check_file(file: Path) -> None:
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing")
    with file.open("rb") as stream:
        start = stream.read(len(LFS_POINTER))
    if not start:
        raise CheckpointError(f"{file} is empty")
    if start == LFS_POINTER:
        raise CheckpointError(f"{file} is a git-lfs pointer, not the file itself: run 'git lfs pull' where it is")
