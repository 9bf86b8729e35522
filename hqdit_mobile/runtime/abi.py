# SPDX-License-Identifier: Apache-2.0
"""The C ABI of libhqdit for ctypes: export/sampler/include/hqdit.h has the meaning of every field."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Mapping
from ctypes import (
    CDLL,
    CFUNCTYPE,
    POINTER,
    Structure,
    c_bool,
    c_char_p,
    c_double,
    c_float,
    c_int32,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

from hqdit_mobile.ops.native import library_path
from hqdit_mobile.runtime.errors import OF_STATUS, EngineError, InvalidArgumentError


class Fields(Structure):
    """A structure of hqdit.h that takes no number that its field cannot hold: ctypes would cut off the rest.

    Raises InvalidArgumentError naming the field.
    """

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        kept = getattr(self, name)
        if isinstance(value, int) and isinstance(kept, int) and kept != value:
            bits = 8 * getattr(type(self), name).size
            raise InvalidArgumentError(f"{name} must fit into {bits} bits, which {value} does not")


class Memory(Fields):
    _fields_ = [
        ("struct_size", c_size_t),
        ("weights_bytes", c_uint64),
        ("arena_bytes", c_uint64),
        ("peak_bytes", c_uint64),
        ("file_bytes", c_uint64),
        ("tiled_peak_bytes", c_uint64),
    ]


class OpenOptions(Fields):
    _fields_ = [
        ("struct_size", c_size_t),
        ("memory_limit_bytes", c_uint64),
        ("verify_sha256", c_bool),
        ("threads", c_int32),
        ("load_mode", c_int32),
        ("trust_programs", c_int64),
        ("public_keys", c_char_p),
        ("public_key_count", c_size_t),
    ]


class File(Fields):
    _fields_ = [("name", c_char_p), ("descriptor", c_int32)]


def files(descriptors: Mapping[str, int]) -> ctypes.Array[File]:
    """The files of a bundle by their names in it."""
    return (File * len(descriptors))(*(File(os.fsencode(name), number) for name, number in descriptors.items()))


class Info(Fields):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("target", c_char_p),
        ("image_width", c_int32),
        ("image_height", c_int32),
        ("latent_channels", c_int32),
        ("latent_height", c_int32),
        ("latent_width", c_int32),
        ("num_classes", c_int32),
        ("null_label", c_int32),
        ("num_train_timesteps", c_int32),
        ("has_preview", c_bool),
        ("default_scheduler", c_int32),
        ("default_spacing", c_int32),
        ("default_steps", c_int32),
        ("default_guidance_scale", c_float),
        ("default_guidance_low", c_float),
        ("default_guidance_high", c_float),
        ("decodes_tiled", c_bool),
        ("time_at_noise", c_double),
        ("time_at_data", c_double),
        ("schedulers", c_uint32),
    ]


class Progress(Fields):
    _fields_ = [
        ("struct_size", c_size_t),
        ("phase", c_int32),
        ("image_index", c_int32),
        ("image_count", c_int32),
        ("step", c_int32),
        ("step_count", c_int32),
        ("timestep", c_int32),
        ("guided", c_bool),
        ("step_ms", c_double),
        ("elapsed_ms", c_double),
        ("peak_memory_bytes", c_uint64),
        ("preview", POINTER(c_uint8)),
        ("preview_width", c_int32),
        ("preview_height", c_int32),
        ("time", c_double),
        ("noise_level", c_double),
    ]


ProgressFunction = CFUNCTYPE(c_bool, POINTER(Progress), c_void_p)


class Request(Fields):
    _fields_ = [
        ("struct_size", c_size_t),
        ("label", c_int32),
        ("seeds", POINTER(c_uint64)),
        ("seed_count", c_size_t),
        ("scheduler", c_int32),
        ("spacing", c_int32),
        ("steps", c_int32),
        ("eta", c_float),
        ("guidance_scale", c_float),
        ("guidance_low", c_float),
        ("guidance_high", c_float),
        ("initial_noise", c_void_p),
        ("initial_noise_count", c_size_t),
        ("preview_interval", c_int32),
        ("progress", ProgressFunction),
        ("user_data", c_void_p),
    ]


class Result(Fields):
    _fields_ = [
        ("struct_size", c_size_t),
        ("rgb", c_void_p),
        ("rgb_bytes", c_size_t),
        ("latents", c_void_p),
        ("latents_count", c_size_t),
        ("evaluations", c_int32),
        ("denoise_ms", c_double),
        ("decode_ms", c_double),
        ("total_ms", c_double),
        ("peak_memory_bytes", c_uint64),
    ]


_SIGNATURES: dict[str, tuple[type | None, list[Any]]] = {
    "hqdit_status_name": (c_char_p, [c_int32]),
    "hqdit_last_error": (c_char_p, []),
    "hqdit_version": (c_char_p, []),
    "hqdit_estimate": (c_int32, [c_char_p, POINTER(Memory)]),
    "hqdit_open_options_init": (None, [POINTER(OpenOptions), c_size_t]),
    "hqdit_open": (c_int32, [c_char_p, POINTER(OpenOptions), POINTER(c_void_p)]),
    "hqdit_estimate_files": (c_int32, [POINTER(File), c_size_t, POINTER(Memory)]),
    "hqdit_open_files": (c_int32, [POINTER(File), c_size_t, POINTER(OpenOptions), POINTER(c_void_p)]),
    "hqdit_close": (c_int32, [c_void_p]),
    "hqdit_get_info": (c_int32, [c_void_p, POINTER(Info)]),
    "hqdit_get_memory": (c_int32, [c_void_p, POINTER(Memory)]),
    "hqdit_label_name": (c_char_p, [c_void_p, c_int32]),
    "hqdit_find_label": (c_int32, [c_void_p, c_char_p, POINTER(c_int32)]),
    "hqdit_request_init": (c_int32, [c_void_p, POINTER(Request), c_size_t]),
    "hqdit_result_init": (None, [POINTER(Result), c_size_t]),
    "hqdit_generate": (c_int32, [c_void_p, POINTER(Request), POINTER(Result)]),
    "hqdit_denoise": (c_int32, [c_void_p, c_void_p, c_float, c_int32, c_bool, c_void_p, c_size_t]),
    "hqdit_decode": (c_int32, [c_void_p, c_void_p, c_void_p, c_size_t]),
}


@functools.cache
def library() -> CDLL:
    """libhqdit with its argument types declared."""
    handle = ctypes.CDLL(str(library_path("hqdit")))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(handle, name)
        function.restype, function.argtypes = result, arguments
    return handle


def check(status: int) -> None:
    """Raises the exception of a status of hqdit.h other than HQDIT_OK, with the engine's message."""
    if status != 0:
        message = library().hqdit_last_error().decode(errors="replace")
        name = library().hqdit_status_name(status).decode()
        raise OF_STATUS.get(status, EngineError)(f"{message} [{name}]")
