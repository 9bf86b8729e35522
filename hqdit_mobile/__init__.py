# SPDX-License-Identifier: Apache-2.0
"""4-bit floating-point Diffusion Transformers on phones: quantize, export, sample."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hqdit_mobile.model.loading import LoadedModel, load_model
    from hqdit_mobile.quantize.config import HQDiTConfig
    from hqdit_mobile.quantize.job import quantize_
    from hqdit_mobile.runtime.engine import Pipeline

__all__ = ["HQDiTConfig", "LoadedModel", "Pipeline", "load_model", "quantize_"]

_HOME = {
    "HQDiTConfig": "quantize.config",
    "Pipeline": "runtime.engine",
    "LoadedModel": "model.loading",
    "load_model": "model.loading",
    "quantize_": "quantize.job",
}


def __getattr__(name: str) -> Any:
    """Public names load their module on first use: torch costs seconds that ``hqdit sample`` does not need."""
    if name not in _HOME:
        raise AttributeError(f"module 'hqdit_mobile' has no attribute {name!r}")
    return getattr(import_module(f"hqdit_mobile.{_HOME[name]}"), name)
