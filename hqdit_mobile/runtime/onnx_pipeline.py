# SPDX-License-Identifier: Apache-2.0
"""Draws with an ONNX bundle: ONNX Runtime for the networks, the engine's scheduler and random numbers around them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hqdit_mobile.diffusion.rng import normal
from hqdit_mobile.ops.native import library_path
from hqdit_mobile.runtime.engine import (
    EngineError,
    InvalidArgumentError,
    InvalidBundleError,
    Pictures,
    ProgressCallback,
)
from hqdit_mobile.runtime.labels import find_label, resolve_label
from hqdit_mobile.runtime.manifest import Manifest, describe_file, read_manifest
from hqdit_mobile.runtime.onnx_sampler import OnnxSampler

OLDEST_RUNTIME = (1, 17)
OPERATOR_VERSION = 1
NO_NULL_CLASS = "this model has no null class to guide away from"


def open_session(model: Path | bytes, *, portable: bool = False, threads: int = 0) -> Any:
    """An ONNX Runtime session on ``model``: with our kernels, or by the function bodies in the file if ``portable``.

    Raises FileNotFoundError if the kernels' library is not built, InvalidBundleError if the file cannot be loaded.
    """
    name = model.name if isinstance(model, Path) else "the model"
    try:
        import onnxruntime
    except ImportError as error:
        raise InvalidBundleError(
            f"{name} needs ONNX Runtime: install it with 'pip install hqdit-mobile[onnx]'"
        ) from error
    version = onnxruntime.__version__
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_RUNTIME:
        raise InvalidBundleError(
            f"{name} needs ONNX Runtime {OLDEST_RUNTIME[0]}.{OLDEST_RUNTIME[1]}, this is {version}"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    if not portable:
        options.register_custom_ops_library(str(_kernels()))
    source = str(model) if isinstance(model, Path) else model
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise InvalidBundleError(
            f"ONNX Runtime {version} cannot load {name}: {error}; copy the whole bundle again, export it again or "
            "update onnxruntime"
        ) from error


def _kernels() -> Path:
    try:
        return library_path("hqdit_ort")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error} Or run the portable way, without our kernels (--portable).") from error


class OnnxPipeline:
    """An open ONNX bundle with the interface of hqdit_mobile.runtime.engine.Pipeline.

    ``portable``: run the function bodies in the file instead of our kernels. ``threads``: 0 for one per core.
    ``public_keys``: as Pipeline has them.
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
        _check_manifest(folder, manifest, verify_sha256)
        self.manifest = manifest
        paths = {name: folder / entry.path for name, entry in manifest.files.items()}
        self._sessions: tuple[Any, Any] | None = (
            open_session(paths["transformer"], portable=portable, threads=threads),
            open_session(paths["vae_decoder"], portable=portable, threads=threads),
        )
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
        """May be called more than once, and while other threads begin calls: theirs raise InvalidArgumentError. A call
        that is running ends as if nothing had happened."""
        self._sessions = None

    def _opened(self) -> tuple[Any, Any]:
        """The sessions of the transformer and the decoder; who holds them keeps them open."""
        sessions = self._sessions
        if sessions is None:
            raise InvalidArgumentError("the pipeline is closed; open the bundle again")
        return sessions

    def find_label(self, name: str) -> int:
        """The class with this name or synonym; labels.py has the rule and the errors."""
        return find_label(self.labels, name)

    def denoise(self, latents: np.ndarray, timestep: float, label: int, *, guided: bool) -> np.ndarray:
        """One run of the transformer on latents [C, h, w]: noise float32 [2, C, h, w] for the label and the null label
        if ``guided``, else [1, C, h, w] for the label."""
        resolve_label(self.labels, self.null_label, label)
        if guided and self.null_label is None:
            raise InvalidArgumentError(f"{NO_NULL_CLASS}: guided must be False")
        labels = np.array([label, self.null_label] if guided else [label], dtype=np.int64)
        inputs = {"latents": self._latents(latents), "timestep": np.array([timestep], np.float32), "labels": labels}
        return _finite(self._opened()[0].run(["noise"], inputs)[0], "the transformer")

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Clean latents [C, h, w], not yet divided by the scaling factor -> float32 [3, H, W] in about -1..1."""
        scaled = self._latents(latents) / np.float32(self.manifest.model.vae_scaling_factor)
        return _finite(self._opened()[1].run(["image"], {"latents": scaled})[0][0], "the image decoder")

    def generate(self, label: int | str, seed: int = 0, **settings: Any) -> np.ndarray:
        """One picture, uint8 [H, W, 3]. ``settings`` are those of ``generate_batch``."""
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
        """One picture per seed; the arguments of engine.Pipeline.generate_batch. What is None takes the default."""
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


def _check_manifest(folder: Path, manifest: Manifest, verify_sha256: bool) -> None:
    if manifest.runtime != "onnxruntime" or manifest.onnx is None:
        raise InvalidBundleError(f"{folder} is made for {manifest.runtime}, not for ONNX Runtime")
    version = manifest.onnx.operator_version
    if version != OPERATOR_VERSION:
        raise InvalidBundleError(
            f"{folder / 'manifest.json'}: transformer.onnx uses version {version} of the hqdit operators, this release "
            f"has version {OPERATOR_VERSION}: update hqdit-mobile or export the bundle again"
        )
    for entry in manifest.files.values() if verify_sha256 else ():
        if describe_file(folder, entry.path).sha256 != entry.sha256:
            raise InvalidBundleError(
                f"{folder / entry.path} has another sha256 than manifest.json says: it was changed or damaged; copy "
                "the bundle again or export it again"
            )


def _finite(values: np.ndarray, network: str) -> np.ndarray:
    if not np.isfinite(values).all():
        raise EngineError(f"{network} returned a value that is not finite")
    return values
