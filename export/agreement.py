# SPDX-License-Identifier: Apache-2.0
"""How far two runtimes agree on a bundle's probe, in five stages: linear, attention, block, step, image."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hqdit_mobile.export.probe import AttentionOp, FusedBlock, Probe
from hqdit_mobile.export.runners import Modules, run_modules
from hqdit_mobile.fp4_linear import FP4Linear
from hqdit_mobile.metrics import psnr_db, snr_db

STAGES = ("linear", "attention", "block", "step", "image")
# Our operators have defined bits in every runtime; a stock ONNX Runtime rounds its own way, and a value that falls on
# the other side of a rounding boundary differs by a step of int8 (docs/onnx.md has the measurements).
NEEDED_DB = {"linear": math.inf, "attention": 100.0, "block": 50.0, "step": 50.0, "image": 40.0}
NEEDED_PORTABLE_DB = {"linear": 60.0, "attention": 100.0, "block": 45.0, "step": 15.0, "image": 30.0}


@dataclass(frozen=True)
class Agreement:
    """One comparison. ``db``: SNR, or PSNR for the image; infinite where the bits are equal."""

    stage: str
    name: str
    db: float
    needed_db: float
    max_error: float
    mean_error: float
    cosine: float

    @property
    def passed(self) -> bool:
        return self.db >= self.needed_db

    def to_json(self) -> dict[str, Any]:
        numbers = {k: "equal bits" if v == math.inf else v for k, v in asdict(self).items()}
        return numbers | {"passed": self.passed}


def needed(stage: str, *runtimes: str) -> float:
    return (NEEDED_PORTABLE_DB if "onnxruntime-portable" in runtimes else NEEDED_DB)[stage]


Values = Tensor | np.ndarray


def agreement(stage: str, name: str, expected: Values, got: Values, needed_db: float) -> Agreement:
    a, b = (np.asarray(values, dtype=np.float64).reshape(-1) for values in (expected, got))
    error = np.abs(a - b)
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    cosine = float(a @ b) / norms if norms else float((a == b).all())
    db = (psnr_db if stage == "image" else snr_db)(a, b)
    return Agreement(stage, name, db, needed_db, float(error.max()), float(error.mean()), cosine)


def probe_modules(probe: Probe) -> tuple[dict[str, str], Modules]:
    """({name: stage}, {name: (module, inputs)}) of the block, its attention and its layers, on real inputs."""
    seen: dict[str, Tensor] = {}
    layers = {name: m for name, m in probe.block.named_modules() if isinstance(m, FP4Linear)}
    handles = [
        layer.register_forward_pre_hook(lambda _, args, name=name: seen.__setitem__(name, args[0].contiguous()))
        for name, layer in layers.items()
    ]
    block = FusedBlock(probe.block)
    with torch.no_grad():
        block(probe.tokens, probe.condition)
    for handle in handles:
        handle.remove()
    modules: dict[str, tuple[torch.nn.Module, tuple[Tensor, ...]]] = {
        name: (layer, (seen[name],)) for name, layer in layers.items()
    }
    stages = dict.fromkeys(modules, "linear")
    if isinstance(probe.block.attn.qkv, FP4Linear):
        with torch.no_grad():
            qkv = probe.block.attn.qkv(seen["attn.qkv"])
        modules["attn"] = AttentionOp(probe.block.attn.num_heads), (qkv,)
        stages["attn"] = "attention"
    modules["block"] = block, (probe.tokens, probe.condition)
    stages["block"] = "block"
    return stages, modules


def compare_modules(probe: Probe, runtime: str, against: str) -> list[Agreement]:
    stages, modules = probe_modules(probe)
    got, expected = run_modules(runtime, modules), run_modules(against, modules)
    return [
        agreement(stage, name, expected[name], got[name], needed(stage, runtime, against))
        for name, stage in stages.items()
    ]


def compare_bundle(probe: Probe, pipeline: Any, runtime: str) -> list[Agreement]:
    """The step and image stages: an open bundle against what torch wrote into the probe."""
    rows = []
    for step in probe.steps:
        for guided in (True, False):
            got = pipeline.denoise(step.latents[0].numpy(), step.timestep, probe.label, guided=guided)
            name = f"t={step.timestep} {'guided' if guided else 'unguided'}"
            expected = step.noise if guided else step.noise[:1]
            rows.append(agreement("step", name, expected, got, needed("step", runtime)))
    image = pipeline.generate(
        probe.label, seed=probe.seed, steps=probe.sampling_steps, guidance_scale=probe.guidance_scale
    )
    rows.append(agreement("image", f"seed {probe.seed}", probe.image, image, needed("image", runtime)))
    return rows
