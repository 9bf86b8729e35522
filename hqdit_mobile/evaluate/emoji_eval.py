# SPDX-License-Identifier: Apache-2.0
"""The judge of emoji-dit's pictures: a small classifier whose 256 features give a Frechet distance.

Its distances compare only with each other, never with Inception FID (assets/emoji_dit/README.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

WIDTHS = (32, 64, 128, 192)
FEATURES = 256


class EmojiClassifier(nn.Module):
    """Images [B, 3, 128, 128] in -1..1 -> features [B, 256], semantic logits [B, 35], style logits [B, 6]."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in WIDTHS:
            for stride in (2, 1):
                convolution = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
                layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
        layers += [nn.Conv2d(channels, FEATURES, 1, bias=False), nn.BatchNorm2d(FEATURES), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.sem = nn.Linear(FEATURES, 35)
        self.sty = nn.Linear(FEATURES, 6)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.body(F.avg_pool2d(images, 2)).mean(dim=(2, 3))
        return features, self.sem(features), self.sty(features)


FOLDER = Path(__file__).parents[1] / "assets" / "emoji_eval"


def load_classifier() -> EmojiClassifier:
    model = EmojiClassifier()
    state = load_file(FOLDER / "emoji_classifier.safetensors")
    # The BatchNorm batch counters are not stored: nothing reads them in inference.
    model.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    return model.eval().requires_grad_(False)


@dataclass
class FeatureStatistics:
    """Sums that merge exactly: ``count``, the sum [256] and the sum of outer products [256, 256] of features."""

    count: int
    total: np.ndarray
    outer: np.ndarray

    @classmethod
    def empty(cls) -> FeatureStatistics:
        return cls(0, np.zeros(FEATURES), np.zeros((FEATURES, FEATURES)))

    def add(self, features: np.ndarray) -> None:
        features = features.astype(np.float64)
        self.count += len(features)
        self.total += features.sum(axis=0)
        self.outer += features.T @ features

    def gaussian(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean [256] and covariance [256, 256] (divisor count - 1, as numpy.cov)."""
        mean = self.total / self.count
        return mean, (self.outer - self.count * np.outer(mean, mean)) / (self.count - 1)


def training_gaussian() -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the features of emoji-dit's 8,832 training images."""
    with np.load(FOLDER / "reference_stats.npz", allow_pickle=False) as stored:
        return stored["mu"], stored["cov"]


def frechet_distance(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    """|mu_a - mu_b|^2 + tr(A + B - 2 (A B)^(1/2)) (Heusel et al., arXiv 1706.08500, equation 6).

    tr (A B)^(1/2) is the sum of the roots of the eigenvalues of A^(1/2) B A^(1/2), which is symmetric.
    """
    (mean_a, cov_a), (mean_b, cov_b) = a, b
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(0)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)
