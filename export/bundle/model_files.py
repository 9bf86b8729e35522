# SPDX-License-Identifier: Apache-2.0
"""Writes the networks of a bundle for the runtime that it is made for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from hqdit_mobile.export.lowering.denoiser import Denoiser, GuidedDenoiser, example_inputs
from hqdit_mobile.export.lowering.executorch import Programs, lower
from hqdit_mobile.export.lowering.memory_planning import Planner, centred
from hqdit_mobile.export.lowering.vae_decoder import choose_decoder
from hqdit_mobile.export.lowering.vae_tiles import tiled_decoder
from hqdit_mobile.model.loading import LoadedModel
from hqdit_mobile.model.network import Network
from hqdit_mobile.runtime.manifest import Decoder, Methods, Onnx
from hqdit_mobile.util.heap import release_memory

RUNTIMES = {"executorch": "ExecuTorch", "onnxruntime": "ONNX Runtime"}
# Percent of the time that lowering takes, as measured on emoji-dit.
CHOOSING = 16  # the image decoder's precision, between the two
SHARES = {"transformer": 35, "vae_decoder": 49}
ONNX_SHARES = {"transformer": 70, "vae_decoder": 30}
GUIDED, UNGUIDED, DECODE = "denoise_guided", "denoise", "decode"


def methods_of(dit: Network) -> Methods:
    return Methods(unguided=UNGUIDED, decode=DECODE, guided=None if dit.null_label is None else GUIDED)


def denoisers(dit: Network, fused: bool) -> Programs:
    """The methods of a transformer program; without a null class there is no guided one."""
    inputs = example_inputs(dit)
    methods: dict[str, tuple[Denoiser, tuple[Tensor, ...]]] = {UNGUIDED: (Denoiser(dit, fused), inputs)}
    if dit.null_label is not None:
        methods[GUIDED] = GuidedDenoiser(dit, fused), inputs
    return methods


@dataclass(frozen=True)
class ModelFiles:
    """``names`` maps the manifest's keys to file names; the rest is what the manifest says of this runtime."""

    names: dict[str, str]
    arena_bytes: int
    tools: tuple[str, ...]
    decoder: Decoder
    onnx: Onnx | None = None


def write_model_files(
    runtime: str,
    model: LoadedModel,
    folder: Path,
    latents: Tensor,
    advance: Callable[[float], None] = lambda _: None,
) -> ModelFiles:
    """``latents`` [B, C, S, S]: of finished pictures, as the sampler leaves them, to try the decoder on. ``advance``:
    gets the percentages of the work that were done since the last call, 100 together."""
    if runtime == "onnxruntime":
        files = _write_onnx(model, folder, advance)
    else:
        files = _write_executorch(model, folder, latents / model.vae.scaling_factor, advance)
    release_memory()
    return files


def _write_executorch(
    model: LoadedModel, folder: Path, latents: Tensor, advance: Callable[[float], None]
) -> ModelFiles:
    """The transformer program (its denoising methods, one copy of the weights) and the decoder program (whole and,
    where that saves memory, in tiles; one copy, too), one after the other: lowering takes several times the weights."""
    names = {"transformer": "transformer.pte", "vae_decoder": "vae_decoder.pte"}

    def write(key: str, methods: Programs, one_by_one: bool = False, planner: Planner | None = None) -> int:
        lowered = lower(methods, one_by_one, lambda part: advance(part * SHARES[key] / 100), planner)
        lowered.write(folder / names[key])
        return lowered.arena_bytes

    arena = write("transformer", denoisers(model.dit, fused=True), planner=centred)
    release_memory()
    methods, about = _decoder(model, latents)
    advance(CHOOSING)
    arena += write("vae_decoder", methods, one_by_one=True)
    return ModelFiles(names, arena, ("executorch",), about)


def _decoder(model: LoadedModel, latents: Tensor) -> tuple[Programs, Decoder]:
    """The methods of a decoder program, and what the manifest says of it."""
    chosen = choose_decoder(model.vae, latents)
    methods: Programs = {DECODE: (chosen.module, (latents[:1],))}
    if tiles := tiled_decoder(chosen.fused, latents[:1]):
        methods |= tiles.methods(latents[:1], chosen.prepare)
        chosen.about.tiles = tiles.to_json()
    return methods, chosen.about


def _write_onnx(model: LoadedModel, folder: Path, advance: Callable[[float], None]) -> ModelFiles:
    """The transformer, whose batch is 2 with guidance and 1 without, and the decoder."""
    from hqdit_mobile.export.lowering.onnx import lower as lower_onnx
    from hqdit_mobile.export.lowering.onnx.operators import DOMAIN, VERSION

    graphs = {
        "transformer": lambda: lower_onnx.transformer_to_onnx(model.dit),
        "vae_decoder": lambda: lower_onnx.decoder_to_onnx(model.vae, model.dit),
    }
    names: dict[str, str] = {}
    for name, graph in graphs.items():
        file, *external = lower_onnx.save_onnx(graph(), folder / f"{name}.onnx")
        release_memory()
        advance(ONNX_SHARES[name])
        names[name] = file.name
        names |= {f"{name}_data": path.name for path in external}
    about = Onnx(
        opset=lower_onnx.OPSET,
        ir_version=lower_onnx.IR_VERSION,
        operator_domain=DOMAIN,
        operator_version=VERSION,
        oldest_runtime="1.17",
        native_library="libhqdit_ort",
        portable=True,
    )
    # ONNX Runtime plans its memory when it runs.
    return ModelFiles(names, 0, ("onnx", "onnxruntime", "onnxscript"), Decoder(precision="float32"), about)
