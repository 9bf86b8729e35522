# SPDX-License-Identifier: Apache-2.0
"""The engine's noise schedulers (export/sampler/include/hqdit_parts.h) for models that run outside of the engine."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_bool, c_double, c_float, c_int32, c_int64, c_size_t, c_void_p

import numpy as np

from hqdit_mobile.diffusion.process import INTERPOLATIONS, PREDICTIONS, SAMPLERS, SPACINGS, Flow, Process
from hqdit_mobile.runtime import abi as engine_abi
from hqdit_mobile.runtime.engine import InvalidArgumentError


class SchedulerOptions(engine_abi.Fields):
    """hqdit_scheduler_options of export/sampler/include/hqdit_parts.h."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("kind", c_int32),
        ("spacing", c_int32),
        ("steps", c_int32),
        ("eta", c_double),
        ("num_train_timesteps", c_int32),
        ("beta_start", c_double),
        ("beta_end", c_double),
        ("scaled_linear", c_bool),
        ("steps_offset", c_int32),
        ("set_alpha_to_one", c_bool),
        ("alphas_cumprod", POINTER(c_double)),
        ("clip_sample_range", c_double),
        ("time_at_noise", c_double),
        ("time_at_data", c_double),
        ("shift", c_double),
        ("start", c_double),
        ("end", c_double),
        ("path", c_int32),
        ("prediction", c_int32),
        ("solver_order", c_int32),
        ("solver_heun", c_bool),
        ("lower_order_final", c_bool),
        ("euler_at_final", c_bool),
        ("ends_at_sigma_min", c_bool),
    )


def _library() -> ctypes.CDLL:
    handle = engine_abi.library()
    handle.hqdit_scheduler_options_init.argtypes = [POINTER(SchedulerOptions), c_size_t]
    handle.hqdit_scheduler_options_init.restype = None
    handle.hqdit_scheduler_create.argtypes = [POINTER(SchedulerOptions), c_size_t, POINTER(c_void_p)]
    handle.hqdit_scheduler_destroy.argtypes = [c_void_p]
    handle.hqdit_scheduler_destroy.restype = None
    handle.hqdit_scheduler_timesteps.argtypes = [c_void_p, POINTER(c_int64), c_size_t]
    handle.hqdit_scheduler_timesteps.restype = c_size_t
    handle.hqdit_scheduler_times.argtypes = [c_void_p, POINTER(c_double), POINTER(c_double), c_size_t]
    handle.hqdit_scheduler_times.restype = c_size_t
    handle.hqdit_scheduler_step.argtypes = [c_void_p, c_size_t, c_void_p, c_void_p, c_void_p]
    handle.hqdit_scheduler_clean.argtypes = [c_void_p]
    handle.hqdit_scheduler_clean.restype = POINTER(c_float)
    return handle


def _describe(process: Process, options: SchedulerOptions) -> None:
    path, multistep = process.path, process.multistep
    names: tuple[str, ...]
    if isinstance(path, Flow):
        options.path = 1 + INTERPOLATIONS.index(path.interpolation)
        names = ("num_train_timesteps", "time_at_noise", "time_at_data", "shift", "start", "end")
    else:
        names = ("num_train_timesteps", "beta_start", "beta_end", "steps_offset", "set_alpha_to_one")
        options.scaled_linear = path.beta_schedule == "scaled_linear"
        if path.alphas_cumprod:
            options.alphas_cumprod = (c_double * len(path.alphas_cumprod))(*path.alphas_cumprod)
    for name in names:
        setattr(options, name, getattr(path, name))
    options.prediction = PREDICTIONS.index(process.prediction)
    options.clip_sample_range = process.clip_sample_range or 0.0
    options.solver_order, options.solver_heun = multistep.solver_order, multistep.solver_type == "heun"
    options.lower_order_final, options.euler_at_final = multistep.lower_order_final, multistep.euler_at_final
    options.ends_at_sigma_min = multistep.final_sigmas_type == "sigma_min"


class Scheduler:
    """One run of ``kind``, one of the process's samplers, over ``steps`` steps for samples of ``count`` floats.

    ``times`` and ``noise_levels``: those visited, noisiest first; ``timesteps``: the same in whole training timesteps.
    Raises InvalidArgumentError with the engine's reason for values that it refuses.
    """

    def __init__(self, kind: str, spacing: str, steps: int, eta: float, process: Process, count: int):
        self.handle = c_void_p()
        self.library = _library()
        for value, names in ((kind, SAMPLERS), (spacing, SPACINGS)):
            if value not in names:
                raise InvalidArgumentError(f"{value!r} is not one of {', '.join(names)}")
        options = SchedulerOptions()
        self.library.hqdit_scheduler_options_init(options, ctypes.sizeof(options))
        options.kind, options.spacing = SAMPLERS.index(kind), SPACINGS.index(spacing)
        options.steps, options.eta = steps, eta
        _describe(process, options)
        self._check(self.library.hqdit_scheduler_create(options, count, ctypes.byref(self.handle)))
        size = self.library.hqdit_scheduler_timesteps(self.handle, None, 0)
        visited = (c_int64 * size)()
        self.library.hqdit_scheduler_timesteps(self.handle, visited, size)
        times, levels = (c_double * size)(), (c_double * size)()
        self.library.hqdit_scheduler_times(self.handle, times, levels, size)
        self.timesteps, self.times, self.noise_levels = list(visited), list(times), list(levels)
        self._count = count

    def __del__(self) -> None:
        if self.handle:
            self.library.hqdit_scheduler_destroy(self.handle)

    def step(self, index: int, prediction: np.ndarray, sample: np.ndarray, random: np.ndarray | None) -> None:
        """Step ``index`` (0, 1, 2, ... in turn): ``sample`` becomes the less noisy one. All contiguous float32;
        ``random`` standard normal numbers, read with eta > 0 only."""
        for array in (prediction, sample, *([] if random is None else [random])):
            assert array.dtype == np.float32 and array.flags.c_contiguous and array.size == self._count
        drawn = None if random is None else random.ctypes.data
        self._check(
            self.library.hqdit_scheduler_step(self.handle, index, prediction.ctypes.data, drawn, sample.ctypes.data)
        )

    def clean(self) -> np.ndarray:
        """The clean sample that the latest step predicted, float32 [count]."""
        return np.ctypeslib.as_array(self.library.hqdit_scheduler_clean(self.handle), (self._count,)).copy()

    def _check(self, status: int) -> None:
        if status:
            raise InvalidArgumentError(self.library.hqdit_last_error().decode(errors="replace"))
