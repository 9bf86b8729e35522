# SPDX-License-Identifier: Apache-2.0
"""What tests in float64 share: seeded tensors, and errors compared with a bound."""

import torch

ROUNDING = 2.0**-24  # the largest relative error of one rounding to float32


def normal(seed: int, *shape: int, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def assert_within(actual: torch.Tensor, expected: torch.Tensor, bound: torch.Tensor) -> None:
    excess = (actual.double() - expected).abs() / bound.clamp(min=1e-37)
    assert excess.max() <= 1, f"error is {excess.max():.2f} times its bound at {excess.argmax()}"
