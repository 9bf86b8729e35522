# SPDX-License-Identifier: Apache-2.0
"""The compiled half of the package: where its libraries lie, and the kernels through ctypes. Imports no torch."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hqdit_mobile

if TYPE_CHECKING:
    from torch import Tensor


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
    values, int32 = ctypes.POINTER(Value), ctypes.c_int32
    signatures = {
        "hqdit_call": (
            int32,
            [ctypes.c_char_p, values, int32, values, int32, ctypes.c_char_p, ctypes.c_size_t],
        ),
        "hqdit_isa": (ctypes.c_char_p, []),
        "hqdit_available_isas": (ctypes.POINTER(ctypes.c_char_p), []),
        "hqdit_use_isa": (ctypes.c_char_p, [ctypes.c_char_p]),
        "hqdit_int8_peak_gops": (ctypes.c_double, [int32]),
        "hqdit_thread_count": (int32, []),
        "hqdit_limit_workspace": (ctypes.c_uint64, [ctypes.c_uint64]),
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


class Value(ctypes.Structure):
    """hqdit_value of export/bindings/c_api.h."""

    _fields_ = (
        ("kind", ctypes.c_int32),
        ("element", ctypes.c_int32),
        ("data", ctypes.c_void_p),
        ("dims", ctypes.POINTER(ctypes.c_int64)),
        ("rank", ctypes.c_int64),
        ("integer", ctypes.c_int64),
        ("real", ctypes.c_double),
    )


_NOTHING, _TENSOR, _INTEGER, _FLOAT, _BOOL, _TEXT = range(6)
_ELEMENTS = {"torch.float32": 0, "torch.uint8": 1}


def call(name: str, arguments: Sequence[Any], shape: Sequence[int], *, threads: int | None = None) -> Tensor:
    """Runs the operator ``name`` on CPU tensors and returns a new float32 tensor of ``shape``.

    ``arguments`` are those of the torch operator. ``threads``: at most so many of the runtime's, None for all.
    Raises ValueError with the kernel's reason when it refuses the call.
    """
    handle = library()
    kept = [argument.contiguous() if hasattr(argument, "data_ptr") else argument for argument in arguments]
    out = kept[0].new_empty(tuple(shape))
    described = [_value(argument) for argument in kept]  # they keep sizes and texts alive
    values = (Value * len(kept))(*described)
    problem = ctypes.create_string_buffer(256)
    count = handle.hqdit_thread_count() if threads is None else threads
    if handle.hqdit_call(name.encode(), values, len(kept), _value(out), count, problem, len(problem)):
        raise ValueError(f"{name}: {problem.value.decode()}")
    return out


def _value(argument: Any) -> Value:
    if argument is None:
        return Value(kind=_NOTHING)
    if hasattr(argument, "data_ptr"):
        dims = (ctypes.c_int64 * argument.dim())(*argument.shape)
        element = _ELEMENTS.get(str(argument.dtype), -1)
        return Value(kind=_TENSOR, element=element, data=argument.data_ptr(), dims=dims, rank=argument.dim())
    if isinstance(argument, bool):
        return Value(kind=_BOOL, integer=argument)
    if isinstance(argument, int):
        return Value(kind=_INTEGER, integer=argument)
    if isinstance(argument, float):
        return Value(kind=_FLOAT, real=argument)
    text = ctypes.c_char_p(argument.encode())
    value = Value(kind=_TEXT, data=ctypes.cast(text, ctypes.c_void_p))
    value.text = text  # keeps it alive
    return value
