# SPDX-License-Identifier: Apache-2.0
"""Images in the layout that ADM's evaluator reads (guided-diffusion): for FID, sFID, IS, precision and recall."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hqdit_mobile.evaluate.run import Measured
from hqdit_mobile.util.atomic_write import whole_file


def write_adm(folder: Path, measured: Measured) -> Path:
    """NAME.npz with ``arr_0`` uint8 [n, H, W, 3]. Raises ValueError where other processes hold a part of the images."""
    images = measured.all_images("--npz")
    array = np.empty((len(images), *images[0].shape), np.uint8)
    for index, image in enumerate(images):
        array[index] = image
    path = folder / f"{measured.candidate.name}.npz"
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, arr_0=array)
    return path
