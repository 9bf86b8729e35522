# SPDX-License-Identifier: Apache-2.0
"""The compiled half of the package: where its libraries lie, and the kernels through ctypes. Imports no torch."""

from __future__ import annotations

import ctypes
import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hqdit_mobile

if TYPE_CHECKING:
    from torch import Tensor

_ACTIVATIONS = {"int8": 0, "fp4": 1, "e2m1": 2}


def library_path(name: str) -> Path:
    """The shared library `name` ("hqdit_ops") of the installed package.

    Raises FileNotFoundError if the package was imported from a source tree that has no build.
    """
    file = f"lib{name}.dylib" if sys.platform == "darwin" else f"lib{name}.so"
    # An editable install has two directories: the sources and what CMake installed.
    folders = [Path(folder) / "lib" for folder in hqdit_mobile.__path__]
    for folder in folders:
        if (folder / file).is_file():
            return folder / file
    looked = ", ".join(str(folder) for folder in folders)
    raise FileNotFoundError(
        f"{file} is not in {looked}: the native part was not built. Install the package with 'pip install .' "
        "(or 'pip install -e .'), which needs a C++ compiler; if that is done, Python imported the sources because it "
        "runs in their folder: change to another one."
    )


@functools.cache
def library() -> ctypes.CDLL:
    """libhqdit_ops with its argument types declared; export/bindings/c_api.h has the meaning of each."""
    return declare(ctypes.CDLL(str(library_path("hqdit_ops"))))


def declare(handle: ctypes.CDLL) -> ctypes.CDLL:
    """Sets the argument and result types of the C ABI on `handle`."""
    pointer, int64, int32 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    signatures = {
        "hqdit_fp4_linear": (
            ctypes.c_char_p,
            [pointer, int64, *[pointer] * 5, *[int64] * 4, int32, int64, int32, int32, pointer],
        ),
        "hqdit_isa": (ctypes.c_char_p, []),
        "hqdit_available_isas": (ctypes.POINTER(ctypes.c_char_p), []),
        "hqdit_use_isa": (ctypes.c_char_p, [ctypes.c_char_p]),
        "hqdit_int8_peak_gops": (ctypes.c_double, [int32]),
        "hqdit_thread_count": (int32, []),
        "hqdit_register_ops": (None, []),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(handle, name)
        function.restype, function.argtypes = result, arguments
    return handle


def available_isas() -> list[str]:
    """The instruction sets that this processor can run, best first."""
    found: list[str] = []
    names = library().hqdit_available_isas()
    while (name := names[len(found)]) is not None:
        found.append(name.decode())
    return found


def use_isa(name: str) -> None:
    """Runs the kernels of instruction set ``name`` from now on. Raises ValueError if this processor lacks it."""
    problem = library().hqdit_use_isa(name.encode())
    if problem is not None:
        raise ValueError(f"cannot use {name!r}: {problem.decode()}")


def fp4_linear(
    x: Tensor,
    codes: Tensor,
    tables: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    pre: Tensor | None,
    out_features: int,
    group: int,
    rotation: int,
    activation: str,
    activation_group: int,
    *,
    gelu: bool = False,
) -> Tensor:
    """hqdit::fp4_linear on the CPU, or with ``gelu`` hqdit::fp4_linear_gelu: x float32 [..., K] -> float32
    [..., out_features] (docs/fp4-linear.md).

    Shapes and types must have been checked (hqdit_mobile.ops.fp4_linear.check_arguments): here are only pointers.
    Raises ValueError with the kernels' reason when they refuse the layer.
    """
    kept = [t if t is None else t.contiguous() for t in (x, codes, tables, scale, bias, pre)]
    first, *rest = [None if t is None else t.data_ptr() for t in kept]
    k = x.shape[-1]
    out = x.new_empty(*x.shape[:-1], out_features)
    handle = library()
    problem = handle.hqdit_fp4_linear(
        first, x.numel() // k, *rest, out_features, k, group, rotation, _ACTIVATIONS[activation], activation_group,
        gelu, handle.hqdit_thread_count(), out.data_ptr(),
    )  # fmt: skip
    if problem is not None:
        raise ValueError(f"fp4_linear: {problem.decode()}")
    return out
