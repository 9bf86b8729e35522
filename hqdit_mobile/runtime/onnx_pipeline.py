# SPDX-License-Identifier: Apache-2.0
"""Draws with an ONNX bundle: ONNX Runtime for the networks, the engine's scheduler and random numbers around them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hqdit_mobile.diffusion.rng import normal
from hqdit_mobile.runtime.errors import EngineError, InvalidArgumentError, InvalidBundleError
from hqdit_mobile.runtime.labels import find_label, resolve_label
from hqdit_mobile.runtime.manifest import Manifest
from hqdit_mobile.runtime.manifest_file import read_manifest
from hqdit_mobile.runtime.onnx_sampler import OnnxSampler
from hqdit_mobile.runtime.onnx_session import open_session, open_verified
from hqdit_mobile.runtime.results import Pictures, ProgressCallback

OPERATOR_VERSION = 1
PARTS = ("transformer", "vae_decoder")
NO_NULL_CLASS = "this model has no null class to guide away from"


class OnnxPipeline:
    """An open ONNX bundle with the interface of hqdit_mobile.Pipeline.

    Args:
        bundle: the folder that ``hqdit-export --runtime onnxruntime`` wrote.
        portable: compute our operators by the function bodies in the files instead of our kernels.
        threads: 0 for one per core.
        verify_sha256: compare the model files with the manifest before they are loaded, and load no others.
        public_keys: as ``Pipeline`` has them.

    Raises:
        BundleError: the manifest or a file of the bundle is missing or damaged; the message names it.
        InvalidBundleError: the bundle is for another runtime or release, or ONNX Runtime cannot load it.
        FileNotFoundError: the kernels' library is not built.
    """

    def __init__(
        self,
        bundle: str | os.PathLike[str],
        *,
        portable: bool = False,
        threads: int = 0,
        verify_sha256: bool = True,
        public_keys: Sequence[str] = (),
    ):
        folder = Path(bundle)
        if public_keys and not verify_sha256:
            raise InvalidArgumentError("public_keys need verify_sha256: without digests a signature says nothing")
        manifest = read_manifest(folder, public_keys)
        _check_manifest(folder, manifest)
        self.manifest = manifest
        self._sessions: tuple[Any, ...] | None
        if verify_sha256:
            with open_verified(folder, manifest.files) as files:
                self._sessions = tuple(files.open_session(part, portable=portable, threads=threads) for part in PARTS)
        else:
            paths = [folder / manifest.files[part].path for part in PARTS]
            self._sessions = tuple(open_session(path, portable=portable, threads=threads) for path in paths)
        model, defaults = manifest.model, manifest.defaults
        channels, height, width = model.image_shape
        self.name: str = manifest.name
        self.target: str = manifest.target
        self.image_shape = (height, width, channels)
        self.latent_shape: tuple[int, int, int] = model.latent_shape
        self.null_label: int | None = model.null_label
        self.process = manifest.process.build()
        self.num_train_timesteps: int = self.process.num_train_timesteps
        self.schedulers = self.process.samplers
        self.has_preview = manifest.preview is not None
        self.labels: list[str] = manifest.labels
        self.defaults = {
            "scheduler": defaults.scheduler,
            "spacing": self.process.spacing,
            "steps": defaults.steps,
            "guidance_scale": defaults.guidance_scale,
            "guidance_interval": defaults.guidance_interval,
        }

    def __enter__(self) -> OnnxPipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the sessions. May be called more than once, and while other threads begin calls: theirs raise
        InvalidArgumentError. A call that is running ends as if nothing had happened."""
        self._sessions = None

    def _opened(self) -> tuple[Any, ...]:
        """The sessions of the transformer and the decoder; who holds them keeps them open."""
        sessions = self._sessions
        if sessions is None:
            raise InvalidArgumentError("the pipeline is closed; open the bundle again")
        return sessions

    def find_label(self, name: str) -> int:
        """Looks a class up.

        Args:
            name: of the class, or one of its synonyms (docs/commands.md has the rule).

        Returns:
            The number of the class.

        Raises:
            NotFoundError: no class has it; the message lists the nearest names.
            InvalidArgumentError: more than one class has it.
        """
        return find_label(self.labels, name)

    def denoise(self, latents: np.ndarray, timestep: float, label: int, *, guided: bool) -> np.ndarray:
        """Runs the transformer once.

        Args:
            latents: float32 [C, h, w].
            timestep: of the model's training, for example 999 for noise alone.
            label: the number of a class.
            guided: also for the null label.

        Returns:
            The prediction, float32 [2, C, h, w] for the label and the null label if ``guided``, else [1, C, h, w].

        Raises:
            InvalidArgumentError: a shape or value does not fit.
            EngineError: the prediction is not finite.
        """
        resolve_label(self.labels, self.null_label, label)
        if guided and self.null_label is None:
            raise InvalidArgumentError(f"{NO_NULL_CLASS}: guided must be False")
        labels = np.array([label, self.null_label] if guided else [label], dtype=np.int64)
        inputs = {"latents": self._latents(latents), "timestep": np.array([timestep], np.float32), "labels": labels}
        return _finite(self._opened()[0].run(["noise"], inputs)[0], "the transformer")

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Runs the image decoder once.

        Args:
            latents: clean, float32 [C, h, w], not yet divided by the VAE's scaling factor.

        Returns:
            float32 [3, H, W] in about -1..1.

        Raises:
            InvalidArgumentError: the shape does not fit.
            EngineError: a pixel is not finite.
        """
        scaled = self._latents(latents) / np.float32(self.manifest.model.vae_scaling_factor)
        return _finite(self._opened()[1].run(["image"], {"latents": scaled})[0][0], "the image decoder")

    def generate(self, label: int | str, seed: int = 0, **settings: Any) -> np.ndarray:
        """Draws one picture.

        Args:
            label: a class's number, name or synonym.
            seed: 0 to 2^64 - 1.
            settings: of ``generate_batch``.

        Returns:
            uint8 [H, W, 3].

        Raises:
            EngineError: as ``generate_batch``.
        """
        picture: np.ndarray = self.generate_batch(label, [seed], **settings).images[0]
        return picture

    def generate_batch(
        self,
        label: int | str,
        seeds: Sequence[int],
        *,
        steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_interval: tuple[float, float] | None = None,
        scheduler: str | None = None,
        spacing: str | None = None,
        eta: float = 0.0,
        initial_noise: np.ndarray | None = None,
        preview_interval: int = 0,
        progress: ProgressCallback | None = None,
    ) -> Pictures:
        """Draws one picture for each of n seeds. What is None takes the bundle's default.

        Args:
            label: a class's number, name or synonym; ``null_label`` for a picture of no class.
            seeds: each 0 to 2^64 - 1.
            steps: denoising steps, 1 to ``num_train_timesteps``.
            guidance_scale: weight of the class; 1 is the plain model and takes half the time.
            guidance_interval: guide only at these noise levels, within 0 to 1.
            scheduler: one of ``schedulers``.
            spacing: of the timesteps: "leading", "trailing" or "linspace".
            eta: DDIM's share of fresh noise, 0 to 1.
            initial_noise: float32 [n, C, h, w], standard normal, in place of the seeds' own.
            preview_interval: give ``progress`` a preview after every n-th step; 0 for none.
            progress: called after every step; returns False to stop.

        Returns:
            The pictures, their latents, and the times in milliseconds.

        Raises:
            CancelledError: ``progress`` returned False.
            InvalidArgumentError: a setting is out of range, or the bundle cannot do it; the message names it.
            NotFoundError: no class has this name.
            EngineError: ONNX Runtime failed, or a value is not finite.
        """
        if preview_interval < 0:
            raise InvalidArgumentError("preview_interval must not be negative")
        if preview_interval and not self.has_preview:
            raise InvalidArgumentError("this bundle has no preview projection: preview_interval must be 0")
        given: dict[str, Any] = {"steps": steps, "guidance_scale": guidance_scale}
        given |= {"guidance_interval": guidance_interval}
        given |= {"scheduler": scheduler, "spacing": spacing}
        chosen = self.defaults | {name: value for name, value in given.items() if value is not None}
        interval: Any = chosen["guidance_interval"]
        scale: Any = chosen["guidance_scale"]
        low, high = interval
        if not 0 <= low <= high <= 1:
            raise InvalidArgumentError(f"guidance_interval must lie in 0 .. 1, low before high, not {low:g} {high:g}")
        if not all(0 <= seed < 2**64 for seed in seeds):
            raise InvalidArgumentError("seeds must be in 0 .. 2^64 - 1")
        if not abs(scale) <= 1000:  # nor NaN
            raise InvalidArgumentError("guidance_scale must be in -1000 .. 1000")
        if self.null_label is None and scale != 1:
            raise InvalidArgumentError(f"{NO_NULL_CLASS}: guidance_scale must be 1")
        number = resolve_label(self.labels, self.null_label, label)
        # The engine's request holds eta in single precision.
        single = float(np.float32(eta))
        drawing = OnnxSampler(self, chosen, single, number, len(seeds), preview_interval, progress)
        for index, seed in enumerate(seeds):
            count = int(np.prod(self.latent_shape))
            start = normal(seed, 0, count) if initial_noise is None else initial_noise[index]
            drawing.draw(index, seed, np.array(start, dtype=np.float32).reshape(self.latent_shape))
        return drawing.result()

    def _latents(self, latents: np.ndarray) -> np.ndarray:
        if latents.shape != self.latent_shape:
            raise InvalidArgumentError(f"latents must have the shape {self.latent_shape}, not {latents.shape}")
        return np.ascontiguousarray(latents, dtype=np.float32)[None]


def _check_manifest(folder: Path, manifest: Manifest) -> None:
    if manifest.runtime != "onnxruntime" or manifest.onnx is None:
        raise InvalidBundleError(f"{folder} is made for {manifest.runtime}, not for ONNX Runtime")
    version = manifest.onnx.operator_version
    if version != OPERATOR_VERSION:
        raise InvalidBundleError(
            f"{folder / 'manifest.json'}: transformer.onnx uses version {version} of the hqdit operators, this release "
            f"has version {OPERATOR_VERSION}: update hqdit-mobile or export the bundle again"
        )


def _finite(values: np.ndarray, network: str) -> np.ndarray:
    if not np.isfinite(values).all():
        raise EngineError(f"{network} returned a value that is not finite")
    return values
