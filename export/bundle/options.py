# SPDX-License-Identifier: Apache-2.0
"""What an export is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hqdit_mobile.model.checkpoints.given import Given
from hqdit_mobile.quantize.config import HQDiTConfig

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

USUAL_GUIDANCE = 4.0
TARGETS = ("android", "ios", "desktop")


@dataclass(frozen=True)
class ExportOptions:
    """What ``hqdit-export`` was asked for.

    ``scheduler``, ``steps``, ``guidance_scale`` and ``guidance_interval`` become the bundle's defaults; the checks draw
    with DDIM, guided in every step.

    Attributes:
        model: as ``load_model`` takes it.
        output: the bundle's folder.
        target: "android", "ios" or "desktop".
        vae: as ``load_model`` takes it.
        config: of the quantizer, of ``recipe``.
        steps: denoising steps.
        guidance_scale: 1 or more; 1 is no guidance. None: USUAL_GUIDANCE, or 1 for a model without a null class.
        force: replace a bundle that is there.
        runtime: "executorch" or "onnxruntime".
        fast: a first look: less calibration (budget.py), and fewer pictures to compare.
        scheduler: one of ``Process.samplers``; None for the model's own.
        guidance_interval: noise levels, within 0 to 1, between which guidance is on.
        calibration_samples: images in place of ``config``'s, or of what budget.py makes of them for a fast export or a
            large model.
        command: what the card and the report say that the bundle was made with.
        given: what the checkpoint does not say.
        key: signs the bundle.
    """

    model: str
    output: Path
    target: str = "android"
    vae: str | None = None
    config: HQDiTConfig = field(default_factory=HQDiTConfig)
    steps: int = 15
    guidance_scale: float | None = None
    force: bool = False
    runtime: str = "executorch"
    fast: bool = False
    scheduler: str | None = None
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    calibration_samples: int | None = None
    command: str = ""
    given: Given = field(default_factory=Given)
    key: Ed25519PrivateKey | None = None

    @property
    def scale(self) -> float:
        """The guidance scale to draw with; of a model without a null class once it is loaded (LoadedModel.guidance)."""
        return USUAL_GUIDANCE if self.guidance_scale is None else self.guidance_scale
