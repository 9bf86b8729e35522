# SPDX-License-Identifier: Apache-2.0
"""Parity: the exported programs against the quantized torch model, on activations of a real trajectory.

Random inputs do not find what real ones do, and a whole image does not say where two programs part, so there are four
stages: each fp4_linear, whole blocks, denoising steps, the decoded image. A stage over its threshold fails the export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hqdit_mobile.dit import DiT
from hqdit_mobile.engine import Pipeline
from hqdit_mobile.export.denoiser import Denoiser, GuidedDenoiser
from hqdit_mobile.export.lower_executorch import lower
from hqdit_mobile.fp4_linear import FP4Linear, fp4_linear_reference
from hqdit_mobile.metrics import psnr_db, snr_db
from hqdit_mobile.models import LoadedModel
from hqdit_mobile.native import library_path
from hqdit_mobile.rng import normal
from hqdit_mobile.sampling import Guidance, guided_noise, sample_latents, trajectory

STEP_SNR_DB = 50.0
BLOCK_SNR_DB = 50.0
IMAGE_PSNR_DB = 40.0


@dataclass(frozen=True)
class Check:
    """One comparison. ``threshold`` is the least ``value`` that passes; both in decibels, or bits equal (1 or 0)."""

    stage: str
    name: str
    value: float
    threshold: float
    unit: str
    max_error: float
    mean_error: float

    @property
    def passed(self) -> bool:
        return self.value >= self.threshold


@dataclass
class ParityReport:
    runtime: str
    checks: list[Check] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def worst(self, stage: str) -> Check:
        return min((c for c in self.checks if c.stage == stage), key=lambda c: c.value - c.threshold)

    def to_json(self) -> dict[str, Any]:
        checks = [{**asdict(c), "value": _finite(c.value), "passed": c.passed} for c in self.checks]
        return {"runtime": self.runtime, "passed": self.passed, "checks": checks}


def _finite(value: float) -> float | str:
    return value if np.isfinite(value) else "exact"


@dataclass(frozen=True)
class Trace:
    """Real inputs: latents at chosen timesteps of a guided run, and what each module saw in the middle one."""

    label: int
    steps: list[tuple[int, Tensor]]
    module_inputs: dict[str, tuple[Tensor, ...]]


def trace(model: LoadedModel, noise: Tensor, label: int, steps: int, guidance: Guidance) -> Trace:
    """Walks the quantized torch model from ``noise`` [1, C, S, S] and keeps the first, middle and last step."""
    labels = torch.tensor([label])
    visited = [
        (t, latents)
        for t, latents, _ in trajectory(model.dit, model.scheduler, noise, labels, steps, guidance)
        if t >= 0
    ]
    kept = [visited[0], visited[len(visited) // 2], visited[-1]]
    inputs: dict[str, tuple[Tensor, ...]] = {}
    with _record_inputs(_probed_modules(model.dit), inputs), torch.no_grad():
        t, latents = kept[1]
        guided_noise(model.dit, latents, t, labels, guidance.scale, guidance.channels)
    return Trace(label, kept, inputs)


def _probed_modules(dit: DiT) -> dict[str, nn.Module]:
    """The first, middle and last block, and every FP4Linear in them and outside of blocks."""
    blocks = sorted({0, len(dit.blocks) // 2, len(dit.blocks) - 1})
    names = tuple(f"blocks.{i}." for i in blocks)
    chosen: dict[str, nn.Module] = {f"blocks.{i}": dit.blocks[i] for i in blocks}
    for name, module in dit.named_modules():
        if isinstance(module, FP4Linear) and (name.startswith(names) or not name.startswith("blocks.")):
            chosen[name] = module
    return chosen


@contextmanager
def _record_inputs(modules: dict[str, nn.Module], into: dict[str, tuple[Tensor, ...]]) -> Iterator[None]:
    def hook(name: str) -> Callable[[nn.Module, Any], None]:
        return lambda _module, args: into.__setitem__(
            name, tuple(a.clone(memory_format=torch.contiguous_format) for a in args)
        )

    handles = [module.register_forward_pre_hook(hook(name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def compare(stage: str, name: str, got: Tensor, expected: Tensor, threshold: float) -> Check:
    error = (got.double() - expected.double()).abs()
    value = snr_db(expected, got)
    return Check(stage, name, value, threshold, "dB SNR", error.max().item(), error.mean().item())


def check_modules(model: LoadedModel, traced: Trace) -> list[Check]:
    """Linear and block stages: each module as a program of its own in the ExecuTorch runtime."""
    modules = _probed_modules(model.dit)
    methods = {name.replace(".", "_"): (modules[name], inputs) for name, inputs in traced.module_inputs.items()}
    runner = _ProgramRunner(lower(methods).data)
    checks = []
    for name, inputs in traced.module_inputs.items():
        got = runner.run(name.replace(".", "_"), inputs)
        module = modules[name]
        if isinstance(module, FP4Linear):
            expected = _definition(module, inputs[0])
            same = float(torch.equal(got, expected))
            error = (got.double() - expected.double()).abs()
            checks.append(Check("linear", name, same, 1.0, "bits equal", error.max().item(), error.mean().item()))
        else:
            with torch.no_grad():
                checks.append(compare("block", name, got, module(*inputs), BLOCK_SNR_DB))
    return checks


def _definition(layer: FP4Linear, x: Tensor) -> Tensor:
    """The layer's output by the plain torch definition of its operator."""
    return fp4_linear_reference(
        x, layer.codes, layer.tables, layer.scale, layer.bias, layer.pre,
        layer.out_features, layer.group, layer.rotation, layer.activation, layer.activation_group,
    )  # fmt: skip


class _ProgramRunner:
    """Runs methods of an in-memory .pte by ExecuTorch's Python bindings, with our operators registered."""

    def __init__(self, program: bytes):
        from executorch.runtime import Runtime

        torch.ops.load_library(str(library_path("hqdit_ops")))
        self.program = Runtime.get().load_program(program)

    def run(self, method: str, inputs: tuple[Tensor, ...]) -> Tensor:
        return self.program.load_method(method).execute(list(inputs))[0]


def check_steps(pipeline: Pipeline, model: LoadedModel, traced: Trace) -> list[Check]:
    """Step stage: the bundle's transformer in the engine, with guidance (both halves) and without.

    Expected is the quantized model in the operators' own definitions, run by torch; the bits should be equal.
    """
    guided_step, single_step = GuidedDenoiser(model.dit, fused=True), Denoiser(model.dit, fused=True)
    checks = []
    for t, latents in traced.steps:
        inputs = latents, torch.tensor([float(t)]), torch.tensor([traced.label])
        guided = torch.from_numpy(pipeline.denoise(latents[0].numpy(), t, traced.label, guided=True))
        single = torch.from_numpy(pipeline.denoise(latents[0].numpy(), t, traced.label, guided=False))
        with torch.no_grad():
            checks.append(compare("step", f"t={t} guided", guided, guided_step(*inputs), STEP_SNR_DB))
            checks.append(compare("step", f"t={t} unguided", single, single_step(*inputs), STEP_SNR_DB))
    return checks


def torch_image(model: LoadedModel, noise: Tensor, label: int, steps: int, guidance: Guidance) -> np.ndarray:
    """The image [H, W, 3] uint8 that the quantized model draws from ``noise`` [1, C, S, S] in torch."""
    latents = sample_latents(
        Denoiser(model.dit, fused=True), model.scheduler, noise, torch.tensor([label]), steps, guidance
    )
    return to_rgb(model.decode(latents))[0]


def to_rgb(images: Tensor) -> np.ndarray:
    """[B, 3, H, W] in about -1..1 -> [B, H, W, 3] uint8, halves rounded to even as in the engine."""
    return ((images / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def check_image(pipeline: Pipeline, model: LoadedModel, label: int, seed: int, steps: int, guidance: Guidance) -> Check:
    expected = torch_image(model, initial_noise(model, seed), label, steps, guidance)
    got = pipeline.generate(label, seed=seed, steps=steps, guidance_scale=guidance.scale)
    error = np.abs(got.astype(np.float64) - expected)
    value = psnr_db(expected, got)
    return Check("image", f"seed {seed}", value, IMAGE_PSNR_DB, "dB PSNR", error.max(), error.mean())


def initial_noise(model: LoadedModel, seed: int) -> Tensor:
    """The engine's starting noise for ``seed``, [1, C, S, S] float32."""
    shape = model.latent_shape
    return torch.from_numpy(normal(seed, 0, int(np.prod(shape)))).reshape(1, *shape)


def check_bundle(
    bundle: Path, model: LoadedModel, label: int, seed: int, steps: int, guidance: Guidance
) -> ParityReport:
    """All four stages of ``bundle`` (an ExecuTorch one) against the quantized ``model``."""
    report = ParityReport("executorch")
    traced = trace(model, initial_noise(model, seed), label, steps, guidance)
    report.checks += check_modules(model, traced)
    with Pipeline(bundle) as pipeline:
        report.checks += check_steps(pipeline, model, traced)
        report.checks.append(check_image(pipeline, model, label, seed, steps, guidance))
    return report
