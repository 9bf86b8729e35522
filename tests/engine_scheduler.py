# SPDX-License-Identifier: Apache-2.0
"""The engine's scheduler through ctypes, and diffusers' with the same settings."""

from ctypes import POINTER, Structure, byref, c_bool, c_double, c_int32, c_int64, c_size_t, c_void_p, sizeof

import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from hqdit_mobile import engine_abi

SPACINGS = ["leading", "trailing", "linspace"]
KINDS = ["ddim", "dpm-solver++"]


class Options(Structure):
    """hqdit_scheduler_options of export/sampler/include/hqdit_parts.h."""

    _fields_ = [
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
    ]


class EngineScheduler:
    def __init__(self, kind: str, spacing: str, steps: int, eta: float = 0.0, count: int = 4096, **schedule):
        self.lib = engine_abi.library()
        self.lib.hqdit_scheduler_create.argtypes = [POINTER(Options), c_size_t, POINTER(c_void_p)]
        self.lib.hqdit_scheduler_destroy.argtypes = [c_void_p]
        self.lib.hqdit_scheduler_timesteps.argtypes = [c_void_p, POINTER(c_int64), c_size_t]
        self.lib.hqdit_scheduler_timesteps.restype = c_size_t
        self.lib.hqdit_scheduler_step.argtypes = [c_void_p, c_size_t, c_void_p, c_void_p, c_void_p]
        options = Options()
        self.lib.hqdit_scheduler_options_init(byref(options), c_size_t(sizeof(options)))
        options.kind = KINDS.index(kind)
        options.spacing = SPACINGS.index(spacing)
        options.steps = steps
        options.eta = eta
        options.scaled_linear = schedule.pop("beta_schedule", "linear") == "scaled_linear"
        for name, value in schedule.items():
            assert hasattr(options, name)
            setattr(options, name, value)
        self.handle = c_void_p()
        if self.lib.hqdit_scheduler_create(options, count, byref(self.handle)):
            raise ValueError(self.lib.hqdit_last_error().decode())
        size = self.lib.hqdit_scheduler_timesteps(self.handle, None, 0)
        values = (c_int64 * size)()
        self.lib.hqdit_scheduler_timesteps(self.handle, values, size)
        self.timesteps = list(values)

    def step(self, index: int, noise: np.ndarray, sample: np.ndarray, random: np.ndarray | None = None) -> np.ndarray:
        out = sample.copy()
        pointer = None if random is None else random.ctypes.data
        assert self.lib.hqdit_scheduler_step(self.handle, index, noise.ctypes.data, pointer, out.ctypes.data) == 0
        return out

    def __del__(self):
        if getattr(self, "handle", None):
            self.lib.hqdit_scheduler_destroy(self.handle)


def diffusers_scheduler(kind: str, spacing: str, **schedule):
    if kind == "ddim":
        return DDIMScheduler(clip_sample=False, timestep_spacing=spacing, **schedule)
    return DPMSolverMultistepScheduler(
        algorithm_type="dpmsolver++", solver_order=2, timestep_spacing=spacing, **schedule
    )


def reference_step(scheduler, noise, timestep, sample, eta, random) -> np.ndarray:
    extra = {} if isinstance(scheduler, DPMSolverMultistepScheduler) else {"eta": eta}
    if eta:
        extra["variance_noise"] = torch.from_numpy(random)
    result = scheduler.step(torch.from_numpy(noise), timestep, torch.from_numpy(sample), return_dict=False, **extra)
    return result[0].numpy()
