# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the objects in which training scripts save their settings, so that reading them runs none of theirs.

torch's loader builds what this list names and nothing else; of OmegaConf only the data is taken, and the package need
not be installed.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any

from torch import Tensor


class _Opaque:
    """Takes the place of an object; what was in it ends in its ``__dict__``."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


class _Config(_Opaque):
    """omegaconf's DictConfig and ListConfig."""


class _Node(_Opaque):
    """omegaconf's leaves."""


def _path(*parts: str) -> str:
    return str(PurePosixPath(*parts))


_OMEGACONF: dict[type, tuple[str, ...]] = {
    _Config: ("dictconfig.DictConfig", "listconfig.ListConfig"),
    _Node: tuple(
        f"nodes.{kind}Node" for kind in ("Any", "Integer", "Float", "String", "Boolean", "Bytes", "Path", "Enum")
    ),
    _Opaque: ("base.ContainerMetadata", "base.Metadata"),
}


def plain_globals() -> list[Any]:
    """For torch.serialization.safe_globals: types, and pairs of a stand-in and the name that it stands in for."""
    listed: list[Any] = [argparse.Namespace, SimpleNamespace, OrderedDict, defaultdict, dict, list, set, tuple]
    stand_ins: list[tuple[Callable[..., Any], str]] = [
        (kind, f"omegaconf.{name}") for kind, names in _OMEGACONF.items() for name in names
    ]
    paths = [(_path, f"pathlib.{name}") for name in ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")]
    paths += [(_path, name.replace("pathlib.", "pathlib._local.")) for _, name in paths]
    # Types that appear as values only, such as the element type of an OmegaConf container.
    kinds = [
        (_Opaque, name) for name in ("typing.Any", "builtins.int", "builtins.float", "builtins.str", "builtins.bool")
    ]
    return [*listed, *stand_ins, *paths, *kinds]


MOST_VALUES, MOST_LEVELS = 100_000, 64


def plain(value: Any) -> Any:
    """``value`` with namespaces and configurations as dictionaries and lists, and None for tensors.

    Raises ValueError for more than any training run has: a list that holds another twice, that one a third, and so on,
    is short in a file and endless here.
    """
    left = MOST_VALUES

    def visit(value: Any, level: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or level > MOST_LEVELS:
            raise ValueError(f"more than {MOST_VALUES} values or {MOST_LEVELS} levels")
        if isinstance(value, _Config):
            return visit(vars(value).get("_content"), level + 1)
        if isinstance(value, _Node):
            return visit(vars(value).get("_val"), level + 1)
        if isinstance(value, argparse.Namespace | SimpleNamespace):
            value = vars(value)
        if isinstance(value, Mapping):
            return {str(key): visit(v, level + 1) for key, v in value.items()}
        if isinstance(value, list | tuple):
            return [visit(v, level + 1) for v in value]
        return None if isinstance(value, Tensor) else value

    return visit(value, 0)
