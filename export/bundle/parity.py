# SPDX-License-Identifier: Apache-2.0
"""Parity at export: the bundle's programs against the quantized torch model, on activations of a real trajectory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hqdit_mobile.export.bundle.agreement import Agreement, compare_bundle, compare_parts, compare_tiles, decibels
from hqdit_mobile.export.bundle.parity_parts import model_parts
from hqdit_mobile.export.bundle.probe import Probe
from hqdit_mobile.model.dit import DiT
from hqdit_mobile.runtime.manifest import read_manifest
from hqdit_mobile.runtime.open_bundle import open_bundle


class ParityError(RuntimeError):
    """Two networks or programs that should compute the same do not."""


@dataclass
class ParityReport:
    """``runtime``: the bundle's. The checks of an ONNX bundle's portable way have names that say so."""

    runtime: str
    checks: list[Agreement] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> list[str]:
        return [
            f"{c.stage} {c.name}: {c.db:.1f} {c.unit}, at least {decibels(c.needed_db)} needed"
            for c in self.checks
            if not c.passed
        ]

    def worst(self, stage: str) -> Agreement:
        """The check that passes with the least to spare; of checks that need equal bits, the farthest from them."""
        return min((c for c in self.checks if c.stage == stage), key=lambda c: (c.margin_db, c.db))

    def require(self, what: str) -> None:
        """Raises ParityError with what is wrong unless all checks passed."""
        if not self.passed:
            raise ParityError(f"{what}:\n" + "\n".join(f"  {failure}" for failure in self.failures))

    def to_json(self) -> dict[str, Any]:
        return {"runtime": self.runtime, "passed": self.passed, "checks": [c.to_json() for c in self.checks]}


def check_bundle(bundle: Path, dit: DiT, probe: Probe) -> ParityReport:
    """All stages of ``bundle`` against the quantized ``dit`` that it was made of, in every way it can run."""
    report = ParityReport(read_manifest(bundle).runtime)
    middle = probe.steps[len(probe.steps) // 2]
    parts = model_parts(dit, middle.latents, middle.timestep, probe.label)
    for portable in (False, True) if report.runtime == "onnxruntime" else (False,):
        runtime = f"{report.runtime}-portable" if portable else report.runtime
        checks = compare_parts(parts, runtime, "torch")
        with open_bundle(bundle, portable=portable) as pipeline:
            checks += compare_bundle(probe, pipeline, runtime)
        if runtime == "executorch":
            checks += compare_tiles(probe, bundle)
        report.checks += [replace(c, name=f"portable {c.name}") for c in checks] if portable else checks
    return report
