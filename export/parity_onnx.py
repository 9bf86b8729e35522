# SPDX-License-Identifier: Apache-2.0
"""Parity of an ONNX bundle at export: with our kernels and by the function bodies, against the torch model."""

from __future__ import annotations

import math
from pathlib import Path

from hqdit_mobile.export.agreement import Agreement, compare_bundle, compare_modules
from hqdit_mobile.export.parity import Check, ParityReport
from hqdit_mobile.export.probe import Probe
from hqdit_mobile.onnx_pipeline import OnnxPipeline


def check_onnx_bundle(bundle: Path, probe: Probe) -> ParityReport:
    report = ParityReport("onnxruntime")
    for runtime in ("onnxruntime", "onnxruntime-portable"):
        rows = compare_modules(probe, runtime, "torch")
        with OnnxPipeline(bundle, portable=runtime.endswith("portable")) as pipeline:
            rows += compare_bundle(probe, pipeline, runtime)
        report.checks += [_check(row, "portable " if runtime.endswith("portable") else "") for row in rows]
    return report


def _check(row: Agreement, prefix: str) -> Check:
    name = prefix + row.name
    if row.needed_db == math.inf:
        return Check(row.stage, name, float(row.passed), 1.0, "bits equal", row.max_error, row.mean_error)
    unit = "dB PSNR" if row.stage == "image" else "dB SNR"
    return Check(row.stage, name, row.db, row.needed_db, unit, row.max_error, row.mean_error)
