# SPDX-License-Identifier: Apache-2.0
"""Named settings of quantize_: what `--recipe` and `hqdit evaluate` know by name."""

from __future__ import annotations

from dataclasses import replace

from hqdit_mobile.quantize.config import HQDiTConfig

# HQ-DiT (Liu and Zhang, arXiv 2405.19751) as far as it is known: a full-width random Hadamard, one of three formats for
# each output channel by the ratio rule, a searched clipping range, GPTQ, E2M1 activations with one scale per token.
HQ_DIT = HQDiTConfig(
    precision="w4a4", group="channel", rotation="full", weight_formats=("e2m1", "e1m2", "e3m0"), format_rule="ratio",
    sweeps=0, smoothing=False, centering=False, shrinkage=0.0, activation_formats=("e2m1",), int8_share=0.0,
)  # fmt: skip

TUNING_STEPS = 300


def high_quality(config: HQDiTConfig) -> HQDiTConfig:
    """The same with scales and biases learned through the whole model: minutes more, no bit more."""
    return replace(config, tuning_steps=TUNING_STEPS)


RECIPES = {
    "w4a8": HQDiTConfig(precision="w4a8"),
    "w4a4": HQDiTConfig(precision="w4a4"),
    "w4a4-strict": HQDiTConfig(precision="w4a4", int8_share=0.0),
    "hq-dit": HQ_DIT,
    "hq-dit-w4a8": replace(HQ_DIT, precision="w4a8"),
    "w4a8-high": high_quality(HQDiTConfig(precision="w4a8")),
    "w4a4-high": high_quality(HQDiTConfig(precision="w4a4")),
    "w4a8-nearest": HQDiTConfig(precision="w4a8", rounding="nearest"),
}


def recipe(name: str) -> HQDiTConfig:
    """The settings that ``--recipe`` and ``hqdit evaluate`` know by name (docs/quality.md).

    Args:
        name: one of RECIPES, such as "w4a8".

    Returns:
        The settings; ``dataclasses.replace`` changes some of them.

    Raises:
        ValueError: there is no such recipe; the message lists them.
    """
    try:
        return RECIPES[name]
    except KeyError:
        raise ValueError(f"there is no recipe {name!r}; known: {', '.join(RECIPES)}") from None
