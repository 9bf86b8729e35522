# SPDX-License-Identifier: Apache-2.0
"""Writes a model in every form that is compared: bundles for the engine, files for ONNX Runtime."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from hqdit_mobile.bench import peers_onnxruntime
from hqdit_mobile.bench.peers_executorch import XNNPACK_QUANTIZED, quantized
from hqdit_mobile.bench.round_to_nearest import round_model_
from hqdit_mobile.export.bundle.budget import LARGE
from hqdit_mobile.export.bundle.model_files import GUIDED, UNGUIDED, denoisers, methods_of
from hqdit_mobile.export.lowering.denoiser import example_inputs
from hqdit_mobile.export.lowering.executorch import lower
from hqdit_mobile.export.lowering.onnx.lower import save_onnx, to_onnx, transformer_to_onnx
from hqdit_mobile.model.checkpoints.given import Given
from hqdit_mobile.model.loading import LoadedModel, load_model
from hqdit_mobile.model.network import Network
from hqdit_mobile.model.streaming import parameter_count
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.runtime.manifest import Manifest, Quantization
from hqdit_mobile.runtime.manifest_file import describe_file, read_manifest, write_manifest

OUR_PTE, OUR_ONNX = "hqdit .pte", "hqdit .onnx"
OUR_PORTABLE = "hqdit .onnx, stock runtime"  # the same file by its function bodies
OURS = (OUR_PTE, OUR_ONNX, OUR_PORTABLE)
TORCH = "torch float32"
XNNPACK_FLOAT = "XNNPACK float32"
STEPS = {"guided": GUIDED, "unguided": UNGUIDED}
"""A kind of step -> its method in a program."""


@dataclass(frozen=True)
class Prepared:
    """One model in all its forms. ``onnx``: for each name the file of a guided and of an unguided step."""

    manifest: Manifest
    quantization: Quantization
    source: str
    vae: str | None
    model: LoadedModel
    bundles: dict[str, Path]
    onnx: dict[str, dict[str, Path]]

    @property
    def steps(self) -> tuple[str, ...]:
        """Those of STEPS that the model has, the dearest first."""
        return steps_of(self.model.dit)


def steps_of(dit: Network) -> tuple[str, ...]:
    return tuple(STEPS) if dit.null_label is not None else ("unguided",)


def prepare(
    bundle: Path,
    source: str | None,
    vae: str | None,
    folder: Path,
    peers: Sequence[str],
    begin: Callable[[str], None],
    given: Given | None = None,
) -> Prepared:
    """Writes the forms of the float model of ``bundle`` into ``folder``.

    ``source``: where the float model is, if not where the manifest says. ``peers``: which quantized XNNPACK models.
    ``given``: what its checkpoint does not say.
    ``begin`` is told each stage. Raises ValueError if the bundle and the model do not fit.

    Of a large model the float32 forms of the runtimes and the portable way are left out: all forms are open at once,
    and each of these takes 2.7 GB or more for DiT-XL. None of them is near the fastest.
    """
    manifest = read_manifest(bundle)
    if manifest.runtime != "executorch":
        raise ValueError(f"{bundle} is for {manifest.runtime}; bench takes one exported with --runtime executorch")
    made_from, quantization = manifest.made_from(bundle)
    source = source or made_from.model
    begin("Load the float model")
    model = load_model(source, vae, given=given)
    if (model.latent_shape, model.dit.null_label) != (manifest.model.latent_shape, manifest.model.null_label):
        raise ValueError(f"{source} is not the model of {bundle}: their latents or classes differ; give --model")
    if different := manifest.process.build().differences(model.process):
        raise ValueError(
            f"{source} is not the model of {bundle}: process.{', process.'.join(different)} differs; give --model and "
            "--family"
        )
    model.dit.drop_learned_sigma_()
    large = parameter_count(model.dit) >= LARGE
    bundles = {OUR_PTE: bundle}
    for name in peers if large else (XNNPACK_FLOAT, *peers):
        begin(f"Lower {name}")
        dit = quantized(model.dit, name) if name in XNNPACK_QUANTIZED else model.dit
        bundles[name] = _peer_bundle(name, dit, bundle, manifest, folder / name.replace(" ", "-"))
    begin("Write ONNX files")
    files = _peer_onnx(model.dit, folder)
    files[OUR_ONNX] = _our_onnx(model.dit, HQDiTConfig(**quantization.config), folder)
    if large:
        del files[peers_onnxruntime.FLOAT]
    else:
        files[OUR_PORTABLE] = files[OUR_ONNX]
    return Prepared(manifest, quantization, source, vae, model, bundles, files)


def _peer_bundle(name: str, dit: Network, ours: Path, manifest: Manifest, folder: Path) -> Path:
    """A bundle with ``dit`` in the runtime's own operators and our decoder: the engine runs both alike."""
    folder.mkdir()
    (folder / "transformer.pte").write_bytes(lower(denoisers(dit, fused=False)).data)
    shutil.copyfile(ours / manifest.files["vae_decoder"].path, folder / "vae_decoder.pte")
    files = {part: describe_file(folder, f"{part}.pte") for part in ("transformer", "vae_decoder")}
    about = {"name": name, "methods": methods_of(dit), "files": files, "documents": {}}
    write_manifest(folder, msgspec.structs.replace(manifest, **about))
    return folder


def _peer_onnx(dit: Network, folder: Path) -> dict[str, dict[str, Path]]:
    names = ("latents", "timestep", "label")
    inputs = dict(zip(names, example_inputs(dit), strict=True))
    result: dict[str, dict[str, Path]] = {}
    for step in steps_of(dit):
        module, _ = denoisers(dit, fused=False)[STEPS[step]]
        float32 = folder / f"{step}.onnx"
        save_onnx(to_onnx(module, inputs, ["noise"]), float32)
        for name, path in peers_onnxruntime.variants(float32).items():
            result.setdefault(name, {})[step] = path
    return result


def _our_onnx(dit: Network, config: HQDiTConfig, folder: Path) -> dict[str, Path]:
    """Layers as in the bundle, but rounded to nearest: a .pte does not give its weights back, and time does not depend
    on them."""
    with torch.no_grad():
        model = transformer_to_onnx(round_model_(copy.deepcopy(dit), config))
    path = folder / "hqdit.onnx"
    save_onnx(model, path)
    return dict.fromkeys(steps_of(dit), path)
