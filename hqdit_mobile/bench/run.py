# SPDX-License-Identifier: Apache-2.0
"""A whole run of ``hqdit bench``: which parts, how thoroughly, and the record that comes out."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hqdit_mobile.bench import machine
from hqdit_mobile.bench.linear import FULL, QUICK, Shape, bench_linear
from hqdit_mobile.bench.load import bench_load
from hqdit_mobile.bench.prepare import OURS, Prepared, prepare
from hqdit_mobile.bench.step import bench_image, bench_steps
from hqdit_mobile.bench.timing import Effort
from hqdit_mobile.model.checkpoints.given import Given
from hqdit_mobile.util.progress import Stages

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class BenchPlan:
    """How thoroughly a run measures.

    Attributes:
        name: of the plan.
        shapes: of linear layers.
        peers: the quantized XNNPACK models beside the float32 one.
        linear: rounds, and seconds of a turn, of the linear layers.
        step: the same of denoising steps.
        image: the same of whole images.
        load_rounds: fresh processes that load each form of the model, cold and warm.
    """

    name: str
    shapes: list[Shape]
    peers: tuple[str, ...]
    linear: Effort
    step: Effort
    image: Effort
    load_rounds: int


BENCH_PLANS = {
    "quick": BenchPlan(
        "quick",
        QUICK,
        ("XNNPACK 8da4w per channel",),
        linear=Effort(rounds=5, turn_seconds=0.02),
        step=Effort(rounds=7, turn_seconds=0.1),
        image=Effort(rounds=3, turn_seconds=0.0),
        load_rounds=3,
    ),
    "full": BenchPlan(
        "full",
        FULL,
        ("XNNPACK 8da4w per channel", "XNNPACK 8da4w g128", "XNNPACK 8da8w"),
        linear=Effort(rounds=9, turn_seconds=0.03),
        step=Effort(rounds=15, turn_seconds=0.2),
        image=Effort(rounds=5, turn_seconds=0.0),
        load_rounds=5,
    ),
}


@dataclass(frozen=True)
class BenchSubject:
    """What is measured beside the linear layers.

    Attributes:
        bundle: the folder of an ExecuTorch bundle.
        model: its float model, if it is not where the manifest says.
        vae: as ``load_model`` takes it.
        given: what a checkpoint does not say itself.
        steps: denoising steps of the whole images.
    """

    bundle: Path
    model: str | None = None
    vae: str | None = None
    given: Given = field(default_factory=Given)
    steps: int = 10


def run_bench(
    plan: BenchPlan, subject: BenchSubject | None, threads: int, pinned: list[int] | None, stages: Stages
) -> dict[str, Any]:
    """Measures our operator and a bundle against the other runtimes, all in turns (docs/performance.md).

    Args:
        plan: one of BENCH_PLANS.
        subject: the bundle; None for the linear layers alone.
        threads: of every runtime.
        pinned: the processors that ``bench.machine.pin`` bound this process to before, for the record.
        stages: shows how far it is.

    Returns:
        What ``hqdit bench --json`` writes; docs/performance.md has its keys, whose names end in their units.

    Raises:
        BundleError: the bundle is missing or damaged, or hqdit-export did not make it.
        CheckpointError: or what else ``load_model`` raises for the float model.
        ValueError: the bundle and the model do not fit.
    """
    with _quiet():
        machine.set_threads(threads)
        record: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "plan": plan.name,
            "machine": machine.describe(threads, pinned),
            "effort": {part: asdict(getattr(plan, part)) for part in ("linear", "step", "image")},
        }
        if subject:
            with tempfile.TemporaryDirectory(prefix="hqdit-bench-") as folder:
                record |= _model_parts(plan, subject, Path(folder), threads, stages)
        stages.begin("Linear layers", sum(len(shape.tokens) for shape in plan.shapes))
        record["linear"] = bench_linear(plan.shapes, threads, plan.linear, stages.advance)
    return record


def _model_parts(plan: BenchPlan, subject: BenchSubject, folder: Path, threads: int, stages: Stages) -> dict[str, Any]:
    prepared = prepare(subject.bundle, subject.model, subject.vae, folder, plan.peers, stages.begin, subject.given)
    stages.begin("Load in fresh processes", len(prepared.bundles) + len(prepared.onnx))
    load = bench_load(prepared, threads, subject.steps, plan.load_rounds, stages.advance)
    stages.begin("Denoising steps", len(prepared.steps) * plan.step.rounds)
    step = bench_steps(prepared, threads, plan.step, stages.advance)
    stages.begin("Whole images", plan.image.rounds)
    image = bench_image(prepared, threads, subject.steps, plan.image, stages.advance)
    return {"model": _model(prepared), "step": step, "image": image, "load": load}


def _model(prepared: Prepared) -> dict[str, Any]:
    manifest, quantization = prepared.manifest, prepared.quantization
    return {
        "name": manifest.name,
        "precision": quantization.precision,
        "bits_per_weight": quantization.bits_per_weight,
        "ours": list(OURS),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """The export tools of the peers warn about what they skip, node by node."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
