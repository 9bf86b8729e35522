# SPDX-License-Identifier: Apache-2.0
"""The engine's scheduler through ctypes, and diffusers' with the same settings."""

import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from hqdit_mobile.diffusion.process import Process, VariancePreserving
from hqdit_mobile.runtime.scheduler import Scheduler


class EngineScheduler(Scheduler):
    """With a process of betas, the usual ones for what a test does not name, or any other; its steps leave their sample
    alone."""

    def __init__(
        self, kind: str, spacing: str, steps: int, eta: float = 0.0, count: int = 4096, process=None, **schedule
    ):
        super().__init__(kind, spacing, steps, eta, process or Process(VariancePreserving(**schedule)), count)

    def step(self, index: int, noise: np.ndarray, sample: np.ndarray, random: np.ndarray | None = None) -> np.ndarray:
        out = sample.copy()
        super().step(index, noise, out, random)
        return out


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
