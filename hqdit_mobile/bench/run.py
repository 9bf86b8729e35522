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
class Plan:
    """``peers``: the quantized XNNPACK models beside the float32 one."""

    name: str
    shapes: list[Shape]
    peers: tuple[str, ...]
    linear: Effort
    step: Effort
    image: Effort
    load_rounds: int


PLANS = {
    "quick": Plan(
        "quick",
        QUICK,
        ("XNNPACK 8da4w per channel",),
        linear=Effort(rounds=5, turn_seconds=0.02),
        step=Effort(rounds=7, turn_seconds=0.1),
        image=Effort(rounds=3, turn_seconds=0.0),
        load_rounds=3,
    ),
    "full": Plan(
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
class Subject:
    """What is measured beside the linear layers: a bundle, and where its float model is if not where its manifest
    says."""

    bundle: Path
    model: str | None = None
    vae: str | None = None
    given: Given = field(default_factory=Given)
    steps: int = 10


def run_bench(plan: Plan, subject: Subject | None, threads: int, pinned: list[int] | None, stages: Stages) -> dict:
    """The record that --json writes. Without a ``subject`` only the linear layers. Call machine.pin before.

    Raises BundleError, CheckpointError, ValueError or OSError for a subject that cannot be used.
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


def _model_parts(plan: Plan, subject: Subject, folder: Path, threads: int, stages: Stages) -> dict[str, Any]:
    prepared = prepare(subject.bundle, subject.model, subject.vae, folder, plan.peers, stages.begin, subject.given)
    stages.begin("Load in fresh processes", len(prepared.bundles) + len(prepared.onnx))
    load = bench_load(prepared, threads, subject.steps, plan.load_rounds, stages.advance)
    stages.begin("Denoising steps")
    step = bench_steps(prepared, threads, plan.step)
    stages.begin("Whole images")
    image = bench_image(prepared, threads, subject.steps, plan.image)
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
