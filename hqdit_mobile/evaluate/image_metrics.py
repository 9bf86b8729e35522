# SPDX-License-Identifier: Apache-2.0
"""Images against reference images, pixel by pixel: PSNR and SSIM."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hqdit_mobile.util.metrics import psnr_db

PEAK = 255.0
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03  # of the SSIM paper


def psnr_of_each(expected: np.ndarray, got: np.ndarray) -> np.ndarray:
    """uint8 [n, H, W, 3] twice -> dB [n]; inf where they are equal."""
    return np.array([psnr_db(a, b) for a, b in zip(expected, got, strict=True)])


def ssim_of_each(expected: np.ndarray, got: np.ndarray) -> np.ndarray:
    """uint8 [n, H, W, 3] twice -> [n]: the mean SSIM over all 11 x 11 Gaussian windows inside the image and over RGB
    (Wang, Bovik, Sheikh and Simoncelli, IEEE Transactions on Image Processing 13(4), 2004)."""
    parts = [_ssim(_planes(expected[i : i + 1]), _planes(got[i : i + 1])) for i in range(len(expected))]
    return np.array(parts)


def _planes(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image.astype(np.float64)).permute(3, 0, 1, 2)  # (3, 1, H, W)


def _ssim(x: Tensor, y: Tensor) -> float:
    if min(x.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM needs images of {WINDOW} x {WINDOW} pixels or more, not {list(x.shape[-2:])}")
    offset = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    line = torch.exp(-offset.square() / (2 * SIGMA**2))
    line /= line.sum()

    def mean(z: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(z, line.view(1, 1, -1, 1)), line.view(1, 1, 1, -1))

    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    mean_x, mean_y = mean(x), mean(y)
    variance_x, variance_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float((similarity / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))).mean())
