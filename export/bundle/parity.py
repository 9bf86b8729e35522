# SPDX-License-Identifier: Apache-2.0
"""Parity at export: the bundle's programs against the quantized torch model, on activations of a real trajectory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hqdit_mobile.export.bundle.agreement import Agreement, compare_bundle, compare_parts, compare_tiles, decibels
from hqdit_mobile.export.bundle.parity_parts import model_parts
from hqdit_mobile.export.bundle.probe import Probe
from hqdit_mobile.model.network import Network
from hqdit_mobile.runtime.manifest_file import read_manifest
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


# Pieces of a comparison, each about as long as the others: lowering takes most of the time.
PARTS, PARTS_IN_TORCH, WHOLE, TILES = 7, 1, 1, 1


def ways(runtime: str) -> tuple[bool, ...]:
    """Whether portable: the ways in which a bundle for ``runtime`` can run."""
    return (False, True) if runtime == "onnxruntime" else (False,)


def pieces_of_parity(runtime: str) -> int:
    """Of ``check_bundle``, for a bundle that is made for ``runtime``."""
    return (PARTS + PARTS_IN_TORCH + WHOLE + TILES) * len(ways(runtime))


def check_bundle(
    bundle: Path, dit: Network, probe: Probe, advance: Callable[[float], None] = lambda _: None
) -> ParityReport:
    """All stages of ``bundle`` against the quantized ``dit`` that it was made of, in every way it can run. ``advance``:
    gets the pieces that are done, ``pieces_of_parity`` together."""
    report = ParityReport(read_manifest(bundle).runtime)
    middle = probe.steps[len(probe.steps) // 2]
    parts = model_parts(dit, middle.latents, middle.timestep, probe.conditions)
    for portable in ways(report.runtime):
        runtime = f"{report.runtime}-portable" if portable else report.runtime
        checks = compare_parts(parts, runtime, "torch", lambda index: advance((PARTS, PARTS_IN_TORCH)[index]))
        with open_bundle(bundle, portable=portable) as pipeline:
            checks += compare_bundle(probe, pipeline, runtime)
        advance(WHOLE)
        if runtime == "executorch":
            checks += compare_tiles(probe, bundle)
        advance(TILES)
        report.checks += [replace(c, name=f"portable {c.name}") for c in checks] if portable else checks
    return report
