# SPDX-License-Identifier: Apache-2.0
"""FID, Inception score, precision and recall against reference images, by torch-fidelity (an optional dependency)."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

# One network for all of them, as in ADM's evaluator; torch-fidelity's own choice for precision and recall is VGG-16.
EXTRACTOR = "inception-v3-compat"
SUFFIXES = (".png", ".jpg", ".jpeg")
FEWEST = 10  # the Inception score is a mean over ten parts


class FidelityError(ValueError):
    """torch-fidelity, its weights or the reference images are not to be had; the message says what to do."""


class Images(Dataset):
    """Images uint8 [H, W, 3] as torch-fidelity wants them: uint8 [3, H, W]."""

    def __init__(self, images: Sequence[np.ndarray] | np.ndarray):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(self.images[index]).permute(2, 0, 1)


class Fidelity:
    """Compares images with those of ``reference``; a context manager.

    reference: a folder of images (searched deeply; resized and cropped to image_size), or an .npz in ADM's layout, of
    whose content the images ``arr_0`` uint8 [n, H, W, 3] count. Raises FidelityError at once for what would fail after
    hours of drawing. torch-fidelity downloads the weights of its Inception network where they are not at hand.
    """

    def __init__(self, reference: Path, image_size: int):
        self.reference, self.image_size = reference, image_size
        self.input, self.count = _open_reference(reference)
        if self.count < FEWEST:
            raise FidelityError(f"--fidelity: {reference} has {self.count} images; these figures need {FEWEST} or more")
        _require_extractor()
        self._cache = tempfile.TemporaryDirectory(prefix="hqdit-fidelity-")

    def __enter__(self) -> Fidelity:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cache.cleanup()

    def figures(self, images: Sequence[np.ndarray] | np.ndarray) -> dict[str, float]:
        """Of n images uint8 [H, W, 3], n at least FEWEST; they are taken in order, each once."""
        import torch_fidelity as tf

        found = tf.calculate_metrics(
            input1=Images(images), input2=self.input, isc=True, fid=True, prc=True, feature_extractor=EXTRACTOR,
            samples_find_deep=True, samples_resize_and_crop=self.image_size, cuda=torch.cuda.is_available(),
            # The features of the reference are taken once. Else precision and recall hold all distances at once.
            input2_cache_name="reference", cache_root=self._cache.name, save_cpu_ram=True, verbose=False,
        )  # fmt: skip
        return {
            "fid": found[tf.KEY_METRIC_FID],
            "inception_score": found[tf.KEY_METRIC_ISC_MEAN],
            "inception_score_std": found[tf.KEY_METRIC_ISC_STD],
            "precision": found[tf.KEY_METRIC_PRECISION],
            "recall": found[tf.KEY_METRIC_RECALL],
        }

    def note(self) -> str:
        from importlib.metadata import version

        return (
            f"FID, IS, precision and recall: torch-fidelity {version('torch-fidelity')}, {EXTRACTOR}, against the "
            f"{self.count} images of {self.reference}. They depend on the number of images: compare equal numbers only."
        )


def _open_reference(reference: Path) -> tuple[Any, int]:
    """What torch-fidelity takes as an input, and its number of images."""
    if reference.is_dir():
        count = sum(path.suffix.lower() in SUFFIXES for path in reference.rglob("*"))
        return str(reference), count
    try:
        with np.load(reference) as stored:
            images = stored["arr_0"]
    except (OSError, ValueError, KeyError) as error:
        raise FidelityError(
            f"--fidelity: {reference} is neither a folder of images nor an .npz with images in arr_0 ({error})"
        ) from error
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        shape = f"{images.dtype} {list(images.shape)}"
        raise FidelityError(f"--fidelity: arr_0 of {reference} must be uint8 [n, H, W, 3], not {shape}")
    return Images(images), len(images)


def _require_extractor() -> None:
    """Loads the network once, which fetches its weights."""
    try:
        from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
    except ImportError as error:
        raise FidelityError(
            f"--fidelity needs torch-fidelity ({error}): pip install 'hqdit-mobile[fidelity]'"
        ) from error
    extractor = FEATURE_EXTRACTORS_REGISTRY[EXTRACTOR]
    try:
        extractor(EXTRACTOR, [extractor.get_default_feature_layer_for_metric("fid")], verbose=False)
    except (OSError, RuntimeError) as error:
        raise FidelityError(
            f"--fidelity: torch-fidelity cannot load the weights of {EXTRACTOR} ({error}). It downloads them into "
            f"{torch.hub.get_dir()}/checkpoints: run once with a connection, or copy the file from there"
        ) from error
