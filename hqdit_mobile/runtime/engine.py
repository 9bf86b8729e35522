# SPDX-License-Identifier: Apache-2.0
"""The C++ engine in Python: draws with a bundle as a phone does. Needs NumPy and no torch.

with Pipeline("emoji-dit-desktop") as pipeline:
    image = pipeline.generate("heart fluent-emoji", seed=7)  # uint8 [H, W, 3]
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hqdit_mobile.diffusion.process import SAMPLERS, SPACINGS
from hqdit_mobile.runtime import abi
from hqdit_mobile.runtime.abi import check
from hqdit_mobile.runtime.errors import BusyError as BusyError
from hqdit_mobile.runtime.errors import CancelledError as CancelledError
from hqdit_mobile.runtime.errors import EngineError as EngineError
from hqdit_mobile.runtime.errors import FileAccessError as FileAccessError
from hqdit_mobile.runtime.errors import InvalidArgumentError as InvalidArgumentError
from hqdit_mobile.runtime.errors import InvalidBundleError as InvalidBundleError
from hqdit_mobile.runtime.errors import MemoryLimitError as MemoryLimitError
from hqdit_mobile.runtime.errors import NotFoundError as NotFoundError
from hqdit_mobile.runtime.errors import OutOfMemoryError as OutOfMemoryError
from hqdit_mobile.runtime.errors import SignatureError as SignatureError
from hqdit_mobile.runtime.interrupts import held_interrupts
from hqdit_mobile.runtime.labels import find_label, resolve_label
from hqdit_mobile.runtime.open_handle import OpenHandle
from hqdit_mobile.runtime.results import MemoryEstimate, Pictures, Progress, ProgressCallback
from hqdit_mobile.runtime.signature import key_bytes
from hqdit_mobile.util.texts import controls_in

SCHEDULERS = SAMPLERS
LOAD_MODES = ("mmap", "read")
PHASES = ("step", "decode")


def estimate(bundle: str | os.PathLike[str] | Mapping[str, int]) -> MemoryEstimate:
    """The memory that a bundle needs, from its manifest alone.

    Args:
        bundle: the folder, or its files as ``Pipeline`` takes them.

    Returns:
        The figures, in bytes.

    Raises:
        NotFoundError: there is no such folder, or no manifest in it.
        InvalidBundleError: the manifest is damaged; the message names the field.
    """
    memory = abi.Memory(struct_size=ctypes.sizeof(abi.Memory))
    if isinstance(bundle, Mapping):
        files = abi.files(bundle)
        check(abi.library().hqdit_estimate_files(files, len(files), memory))
    else:
        check(abi.library().hqdit_estimate(os.fsencode(bundle), memory))
    return MemoryEstimate(
        memory.weights_bytes, memory.arena_bytes, memory.peak_bytes, memory.file_bytes, memory.tiled_peak_bytes
    )


class Pipeline:
    """An open bundle. One call at a time; several pipelines may run in several threads.

    Args:
        bundle: the folder that ``hqdit-export`` wrote, or its files as descriptors by their names in it, for a process
            that may not open them. They must not change while it is open; descriptors may be closed.
        threads: 0 for the runtime's pool, 1 for the calling thread alone, more to resize the process's pool.
        memory_limit_bytes: decode in tiles if the bundle's estimate is higher, refuse it if that needs more too; 0 for
            no limit. ``decodes_tiled`` says which.
        verify_sha256: compare the model files with the manifest before they are parsed.
        load_mode: "mmap" maps the files, "read" reads them into memory.
        trust_programs: open programs that ``hqdit-export`` did not write, unchecked: only files of your own.
        public_keys: one of these must have signed the bundle; each 64 hexadecimal digits, as ``hqdit sign`` prints.

    Raises:
        NotFoundError: the folder or a file of it does not exist.
        InvalidBundleError: a file is damaged, of a newer schema, or for another runtime.
        MemoryLimitError: the bundle needs more than ``memory_limit_bytes``.
        SignatureError: none of ``public_keys`` has signed the bundle.
        InvalidArgumentError: a value is out of range.
    """

    def __init__(
        self,
        bundle: str | os.PathLike[str] | Mapping[str, int],
        *,
        threads: int = 0,
        memory_limit_bytes: int = 0,
        verify_sha256: bool = True,
        load_mode: str = "mmap",
        trust_programs: bool = False,
        public_keys: Sequence[str] = (),
    ):
        self._library = abi.library()
        options = abi.OpenOptions()
        self._library.hqdit_open_options_init(options, ctypes.sizeof(options))
        options.threads = threads
        options.memory_limit_bytes = memory_limit_bytes
        options.verify_sha256 = verify_sha256
        options.load_mode = _index("load_mode", load_mode, LOAD_MODES)
        options.trust_programs = trust_programs
        options.public_keys = b"".join(key_bytes(key) for key in public_keys)
        options.public_key_count = len(public_keys)
        handle = ctypes.c_void_p()
        if isinstance(bundle, Mapping):
            files = abi.files(bundle)
            check(self._library.hqdit_open_files(files, len(files), options, ctypes.byref(handle)))
        else:
            check(self._library.hqdit_open(os.fsencode(Path(bundle)), options, ctypes.byref(handle)))
        self._open = OpenHandle(self, handle, self._library.hqdit_close)
        try:
            self._describe(handle)
        except BaseException:
            self.close()
            raise

    def _describe(self, handle: ctypes.c_void_p) -> None:
        info = abi.Info(struct_size=ctypes.sizeof(abi.Info))
        check(self._library.hqdit_get_info(handle, info))
        self.name: str = info.name.decode()
        self.target: str = info.target.decode()
        self.image_shape = (info.image_height, info.image_width, 3)
        self.latent_shape = (info.latent_channels, info.latent_height, info.latent_width)
        self.null_label: int | None = info.null_label if info.null_label >= 0 else None
        self.num_train_timesteps: int = info.num_train_timesteps
        self.has_preview: bool = info.has_preview
        self.decodes_tiled: bool = info.decodes_tiled
        self.schedulers = tuple(name for i, name in enumerate(SCHEDULERS) if info.schedulers >> i & 1)
        self.defaults = {
            "scheduler": SCHEDULERS[info.default_scheduler],
            "spacing": SPACINGS[info.default_spacing],
            "steps": info.default_steps,
            "guidance_scale": info.default_guidance_scale,
            "guidance_interval": (info.default_guidance_low, info.default_guidance_high),
        }
        self.labels = [self._library.hqdit_label_name(handle, i).decode() for i in range(info.num_classes)]
        if fault := controls_in({"name": self.name, "target": self.target, "labels": self.labels}):
            raise InvalidBundleError(f"the manifest's {fault}: this bundle is not what it seems")

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the pipeline, now or, at the latest, when nothing refers to it any more.

        May be called more than once, and while other threads begin calls: theirs raise InvalidArgumentError.

        Raises:
            BusyError: a call of another thread, or the one whose progress callback this is, has not returned.
        """
        self._open.close()

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

    def generate(self, label: int | str, seed: int = 0, **settings: Any) -> np.ndarray:
        """Draws one picture.

        Args:
            label: a class's number, name or synonym (labels.py).
            seed: 0 to 2^64 - 1. The same seed gives the same latents on every machine.
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
            label: a class's number, name or synonym (labels.py); ``null_label`` for a picture of no class.
            seeds: each 0 to 2^64 - 1.
            steps: denoising steps, 1 to ``num_train_timesteps``.
            guidance_scale: weight of the class; 1 is the plain model and takes half the time. A model without a null
                class (``null_label`` is None) has no other.
            guidance_interval: guide only at these noise levels, within 0 to 1: timestep / num_train_timesteps, or a
                flow's own.
            scheduler: one of ``schedulers``.
            spacing: of the timesteps, one of ``SPACINGS``.
            eta: DDIM's share of fresh noise, 0 to 1.
            initial_noise: float32 [n, C, h, w], standard normal, in place of the seeds' own.
            preview_interval: give ``progress`` a preview after every n-th step; 0 for none.
            progress: called after every step; returns False to stop.

        Returns:
            The pictures, their latents, and the times in milliseconds.

        Raises:
            CancelledError: ``progress`` returned False.
            KeyboardInterrupt: Ctrl-C in the main thread; the drawing stops within one step.
            InvalidArgumentError: a setting is out of range, or the bundle cannot do it; the message names it.
            NotFoundError: no class has this name.
            BusyError: another call is running on this pipeline.
            EngineError: the runtime failed.
        """
        if not all(0 <= seed < 2**64 for seed in seeds):
            raise InvalidArgumentError("seeds must be in 0 .. 2^64 - 1")
        request = abi.Request()
        number = resolve_label(self.labels, self.null_label, label)
        with self._open as handle:
            check(self._library.hqdit_request_init(handle, request, ctypes.sizeof(request)))
        request.label = number
        request.seeds = (ctypes.c_uint64 * len(seeds))(*seeds)
        request.seed_count = len(seeds)
        request.eta = eta
        request.preview_interval = preview_interval
        if steps is not None:
            request.steps = steps
        if guidance_scale is not None:
            request.guidance_scale = guidance_scale
        if guidance_interval is not None:
            request.guidance_low, request.guidance_high = guidance_interval
        if scheduler is not None:
            request.scheduler = _index("scheduler", scheduler, SCHEDULERS)
        if spacing is not None:
            request.spacing = _index("spacing", spacing, SPACINGS)
        if initial_noise is not None:
            initial_noise = np.ascontiguousarray(initial_noise, dtype=np.float32)
            request.initial_noise, request.initial_noise_count = initial_noise.ctypes.data, initial_noise.size
        images = np.empty((len(seeds), *self.image_shape), dtype=np.uint8)
        latents = np.empty((len(seeds), *self.latent_shape), dtype=np.float32)
        result = abi.Result()
        self._library.hqdit_result_init(result, ctypes.sizeof(result))
        result.rgb, result.rgb_bytes = images.ctypes.data, images.nbytes
        result.latents, result.latents_count = latents.ctypes.data, latents.size
        with held_interrupts() as raised, self._open as handle:
            request.progress = _progress_function(progress, raised)
            status = self._library.hqdit_generate(handle, request, result)
        if raised:
            raise raised[0]
        check(status)
        times = (result.denoise_ms, result.decode_ms, result.total_ms)
        return Pictures(images, latents, result.evaluations, *times, result.peak_memory_bytes)

    def denoise(self, latents: np.ndarray, timestep: float, label: int, *, guided: bool) -> np.ndarray:
        """Runs the transformer once.

        Args:
            latents: float32 [C, h, w].
            timestep: of the model's training, for example 999 for noise alone.
            label: the number of a class.
            guided: also for the null label; False for a model without one.

        Returns:
            The prediction, float32 [2, C, h, w] for the label and the null label if ``guided``, else [1, C, h, w].

        Raises:
            InvalidArgumentError: a shape or value does not fit.
            EngineError: the runtime failed.
        """
        latents, label = self._latents(latents), resolve_label(self.labels, self.null_label, label)
        out = np.empty((2 if guided else 1, *self.latent_shape), dtype=np.float32)
        call = self._library.hqdit_denoise
        with self._open as handle:
            check(call(handle, latents.ctypes.data, timestep, label, guided, out.ctypes.data, out.size))
        return out

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Runs the image decoder once.

        Args:
            latents: clean, float32 [C, h, w], not yet divided by the VAE's scaling factor.

        Returns:
            float32 [3, H, W] in about -1..1.

        Raises:
            InvalidArgumentError: the shape does not fit.
            EngineError: the runtime failed.
        """
        latents = self._latents(latents)
        height, width, channels = self.image_shape
        out = np.empty((channels, height, width), dtype=np.float32)
        with self._open as handle:
            check(self._library.hqdit_decode(handle, latents.ctypes.data, out.ctypes.data, out.size))
        return out

    def _latents(self, latents: np.ndarray) -> np.ndarray:
        if latents.shape != self.latent_shape:
            raise InvalidArgumentError(f"latents must have the shape {self.latent_shape}, not {latents.shape}")
        return np.ascontiguousarray(latents, dtype=np.float32)


def _index(what: str, name: str, names: tuple[str, ...]) -> int:
    if name not in names:
        raise InvalidArgumentError(f"{what} must be one of {', '.join(names)}, not {name!r}")
    return names.index(name)


def _progress_function(progress: ProgressCallback | None, raised: list[BaseException]) -> Any:
    """``raised``: gets what the callback raises, and from held_interrupts what Ctrl-C does; not empty, it stops."""

    def call(pointer: Any, _: object) -> bool:
        # An exception cannot pass through C: it stops the run and is raised again after it.
        try:
            go_on = progress is None or progress(_update(pointer.contents)) is not False
        except BaseException as error:
            raised.append(error)
        return not raised and go_on

    return abi.ProgressFunction(call)


def _update(c: abi.Progress) -> Progress:
    preview = None
    if c.preview:
        preview = np.ctypeslib.as_array(c.preview, (c.preview_height, c.preview_width, 3)).copy()
    return Progress(
        PHASES[c.phase], c.image_index, c.image_count, c.step, c.step_count, c.timestep, c.guided,
        c.step_ms, c.elapsed_ms, c.peak_memory_bytes, preview, c.time, c.noise_level,
    )  # fmt: skip
