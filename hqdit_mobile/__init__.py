# SPDX-License-Identifier: Apache-2.0
"""4-bit floating-point Diffusion Transformers on phones: quantize, export, sample.

``__all__`` is the public interface (docs/python.md); what is not in it may change with any release.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hqdit_mobile.bench.run import BENCH_PLANS, BenchPlan, BenchSubject, run_bench
    from hqdit_mobile.diffusion.process import Process, ProcessError
    from hqdit_mobile.evaluate.group import process_group
    from hqdit_mobile.evaluate.protocol import Protocol
    from hqdit_mobile.evaluate.record import make_record
    from hqdit_mobile.evaluate.run import Measured, evaluate_candidates, load_float_model
    from hqdit_mobile.evaluate.shards import StaleError
    from hqdit_mobile.export.bundle.job import export_bundle
    from hqdit_mobile.export.bundle.options import ExportOptions
    from hqdit_mobile.export.bundle.parity import ParityError
    from hqdit_mobile.model.checkpoints.given import Given
    from hqdit_mobile.model.checkpoints.reading import CheckpointError
    from hqdit_mobile.model.loading import LoadedModel, load_model
    from hqdit_mobile.ops.fp4_linear import FP4Linear, fp4_linear_reference
    from hqdit_mobile.quantize.calibration import CalibrationError
    from hqdit_mobile.quantize.config import HQDiTConfig
    from hqdit_mobile.quantize.job import quantize_
    from hqdit_mobile.quantize.layer import LayerReport
    from hqdit_mobile.quantize.quantizer import QuantizationReport
    from hqdit_mobile.quantize.recipes import recipe
    from hqdit_mobile.runtime.engine import Pipeline, estimate
    from hqdit_mobile.runtime.errors import (
        BusyError,
        CancelledError,
        EngineError,
        FileAccessError,
        InvalidArgumentError,
        InvalidBundleError,
        MemoryLimitError,
        NotFoundError,
        OutOfMemoryError,
        SignatureError,
    )
    from hqdit_mobile.runtime.manifest import BundleError, Manifest
    from hqdit_mobile.runtime.manifest_file import read_manifest
    from hqdit_mobile.runtime.onnx_pipeline import OnnxPipeline
    from hqdit_mobile.runtime.onnx_session import open_session
    from hqdit_mobile.runtime.open_bundle import open_bundle
    from hqdit_mobile.runtime.results import MemoryEstimate, Pictures, Progress
    from hqdit_mobile.util.progress import Stages

__all__ = [
    "BENCH_PLANS",
    "BenchPlan",
    "BenchSubject",
    "BundleError",
    "BusyError",
    "CalibrationError",
    "CancelledError",
    "CheckpointError",
    "EngineError",
    "ExportOptions",
    "FP4Linear",
    "FileAccessError",
    "Given",
    "HQDiTConfig",
    "InvalidArgumentError",
    "InvalidBundleError",
    "LayerReport",
    "LoadedModel",
    "Manifest",
    "Measured",
    "MemoryEstimate",
    "MemoryLimitError",
    "NotFoundError",
    "OnnxPipeline",
    "OutOfMemoryError",
    "ParityError",
    "Pictures",
    "Pipeline",
    "Process",
    "ProcessError",
    "Progress",
    "Protocol",
    "QuantizationReport",
    "SignatureError",
    "Stages",
    "StaleError",
    "estimate",
    "evaluate_candidates",
    "export_bundle",
    "fp4_linear_reference",
    "load_float_model",
    "load_model",
    "make_record",
    "open_bundle",
    "open_session",
    "process_group",
    "quantize_",
    "read_manifest",
    "recipe",
    "run_bench",
]  # fmt: skip

_MODULES = {
    "bench.run": "BENCH_PLANS BenchPlan BenchSubject run_bench",
    "diffusion.process": "Process ProcessError",
    "evaluate.group": "process_group",
    "evaluate.protocol": "Protocol",
    "evaluate.record": "make_record",
    "evaluate.run": "Measured evaluate_candidates load_float_model",
    "evaluate.shards": "StaleError",
    "export.bundle.job": "export_bundle",
    "export.bundle.options": "ExportOptions",
    "export.bundle.parity": "ParityError",
    "model.checkpoints.given": "Given",
    "model.checkpoints.reading": "CheckpointError",
    "model.loading": "LoadedModel load_model",
    "ops.fp4_linear": "FP4Linear fp4_linear_reference",
    "quantize.calibration": "CalibrationError",
    "quantize.config": "HQDiTConfig",
    "quantize.job": "quantize_",
    "quantize.layer": "LayerReport",
    "quantize.quantizer": "QuantizationReport",
    "quantize.recipes": "recipe",
    "runtime.engine": "Pipeline estimate",
    "runtime.errors": "BusyError CancelledError EngineError FileAccessError InvalidArgumentError InvalidBundleError "
    "MemoryLimitError NotFoundError OutOfMemoryError SignatureError",
    "runtime.manifest": "BundleError Manifest",
    "runtime.manifest_file": "read_manifest",
    "runtime.onnx_pipeline": "OnnxPipeline",
    "runtime.onnx_session": "open_session",
    "runtime.open_bundle": "open_bundle",
    "runtime.results": "MemoryEstimate Pictures Progress",
    "util.progress": "Stages",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Public names load their module on first use: torch costs seconds that ``hqdit sample`` does not need."""
    if name not in _HOME:
        raise AttributeError(f"module 'hqdit_mobile' has no attribute {name!r}")
    return getattr(import_module(f"hqdit_mobile.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
