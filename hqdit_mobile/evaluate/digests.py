# SPDX-License-Identifier: Apache-2.0
"""What tells one candidate from another before it is opened: digests of weights, of our sources and of our kernels."""

from __future__ import annotations

import ast
import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from hqdit_mobile.ops.native import library_path

PACKAGE = "hqdit_mobile"


def state_digest(module: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of the parameters and buffers, and over the modules' settings."""
    digest = hashlib.sha256(repr(module).encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(json.dumps([name, str(tensor.dtype), [*tensor.shape]]).encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def sources_digest(module: str) -> str:
    """SHA-256 over ``module``, the modules of this package that it imports, directly or not, and the kernels' library.

    A version does not change while somebody works on the quantizer; its sources do.
    """
    digest = hashlib.sha256(library_path("hqdit_ops").read_bytes())
    for name, path in sorted(sources(module).items()):
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def sources(module: str) -> dict[str, Path]:
    """The file of ``module`` and of every module of this package that it imports, directly or not, by name."""
    found: dict[str, Path] = {}
    left = [module]
    while left:
        name = left.pop()
        path = None if name in found else _file(name)
        if path is None:
            continue
        found[name] = path
        left.append(name.rpartition(".")[0])  # Python runs the packages around a module, too
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                left += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                # What is imported from a package may be a module of it.
                left += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def _file(name: str) -> Path | None:
    """Of a module of this package; None for a name inside a module, and for what is somebody else's."""
    if name.split(".")[0] != PACKAGE:
        return None
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:  # the parent is a module, not a package
        return None
    return Path(spec.origin) if spec and spec.origin else None
