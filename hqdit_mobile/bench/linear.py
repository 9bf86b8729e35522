# SPDX-License-Identifier: Apache-2.0
"""Linear layers of a DiT in every runtime, against each other and against the processor's int8 peak."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from hqdit_mobile.bench import peers_executorch, peers_onnxruntime
from hqdit_mobile.bench.round_to_nearest import round_layer
from hqdit_mobile.bench.timing import Effort, Runner, measure, medians
from hqdit_mobile.ops.native import library
from hqdit_mobile.quantize.config import HQDiTConfig

WIDTHS = {"DiT-S": 384, "DiT-B": 768, "DiT-L": 1024, "DiT-XL": 1152}
# layer: (inputs, outputs) in widths
LAYERS = {"qkv": (1, 3), "proj": (1, 1), "fc1": (1, 4), "fc2": (4, 1)}
OURS = "hqdit w4a8"
OUR_ACTIVATIONS = {OURS: "int8", "hqdit w4a4": "fp4"}
FOUR_BIT_PEERS = ("XNNPACK 8da4w per channel", "XNNPACK 8da4w g128", "ONNX Runtime MatMulNBits")


@dataclass(frozen=True)
class Shape:
    """``layer`` of ``model`` on each of ``tokens`` rows.

    Attributes:
        pairs: if not 0, in place of the layer so many pairs one after another: it and one back to in_features, all with
            weights of their own. A model's layers follow each other so, and few are still in a cache.
    """

    model: str
    layer: str
    in_features: int
    out_features: int
    tokens: tuple[int, ...]
    pairs: int = 0

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Inputs and outputs of each layer in turn."""
        there = (self.in_features, self.out_features)
        return [there, there[::-1]] * self.pairs or [there]


def shapes(models: Sequence[str], layers: Sequence[str], tokens: tuple[int, ...]) -> list[Shape]:
    return [
        Shape(model, layer, WIDTHS[model] * LAYERS[layer][0], WIDTHS[model] * LAYERS[layer][1], tokens)
        for model in models
        for layer in layers
    ]


# With one token it counts most whether weights come from a cache. DiT-S at its depth; of DiT-XL four blocks,
# with which the run takes 3.3 GB at its peak.
STACKS = [
    Shape("DiT-S", "fc1, fc2", WIDTHS["DiT-S"], 4 * WIDTHS["DiT-S"], (1,), pairs=12),
    Shape("DiT-XL", "fc1, fc2", WIDTHS["DiT-XL"], 4 * WIDTHS["DiT-XL"], (1,), pairs=4),
]
QUICK = [
    *shapes(["DiT-S"], ["qkv", "fc2"], (1, 64, 256)),
    *shapes(["DiT-XL"], ["qkv", "fc1", "fc2"], (1, 64, 256)),
    *STACKS,
]
FULL = [*shapes(list(WIDTHS), list(LAYERS), (1, 2, 64, 256, 512, 1024)), *STACKS]


def bench_linear(
    chosen: Sequence[Shape], threads: int, effort: Effort, advance: Callable[[], None] = lambda: None
) -> list[dict[str, Any]]:
    """One entry for each shape and number of tokens; ``advance`` is called after each. Weights are random."""
    entries = []
    for shape in chosen:
        for tokens, runners in _runners(shape, threads).items():
            # Around the measurement, because clocks move.
            peaks = [library().hqdit_int8_peak_gops(threads)]
            turns = measure(runners, effort)
            peaks.append(library().hqdit_int8_peak_gops(threads))
            entries.append(compared(shape, tokens, turns, sum(peaks) / len(peaks)))
            advance()
    return entries


def compared(shape: Shape, tokens: int, turns: dict[str, list[float]], peak: float) -> dict[str, Any]:
    """What follows from the seconds of every runner's turns and from the processor's `peak` in GOPS; a multiply-add
    counts as two operations, a "speedup" is a peer's time over ours."""
    operations = 2 * tokens * sum(k * n for k, n in shape.sizes)
    seconds = medians(turns)
    gops = {name: 1e-9 * operations / value for name, value in seconds.items()}
    peers = [name for name in gops if name not in OUR_ACTIVATIONS]
    fastest = max(peers, key=lambda name: gops[name])
    four_bit = max(FOUR_BIT_PEERS, key=lambda name: gops[name])
    return {
        "model": shape.model,
        "layer": shape.layer,
        "tokens": tokens,
        "in_features": shape.in_features,
        "out_features": shape.out_features,
        "layers": len(shape.sizes),
        "microseconds": {name: 1e6 * value for name, value in seconds.items()},
        "gops": gops,
        "peak_gops": peak,
        "fraction_of_peak": gops[OURS] / peak,
        # The peak is the best of short slices, so on a machine with other load only this compares with it.
        "fraction_of_peak_in_best_turn": 1e-9 * operations / min(turns[OURS]) / peak,
        "fastest_peer": fastest,
        "speedup_vs_fastest_peer": gops[OURS] / gops[fastest],
        "fastest_4bit_peer": four_bit,
        "speedup_vs_fastest_4bit_peer": gops[OURS] / gops[four_bit],
    }


def _runners(shape: Shape, threads: int) -> dict[int, dict[str, Runner]]:
    """For each number of tokens, the layers in each runtime on the same weights and inputs."""
    torch.manual_seed(0)
    layers = [nn.Linear(k, n).requires_grad_(False) for k, n in shape.sizes]
    inputs = {tokens: torch.randn(tokens, shape.in_features) for tokens in shape.tokens}
    modules: dict[str, nn.Module] = {
        name: nn.Sequential(*(round_layer(layer, HQDiTConfig(), activation) for layer in layers))
        for name, activation in OUR_ACTIVATIONS.items()
    }
    # torchao quantizes the children of a module, not the module.
    modules["XNNPACK float32"] = floats = nn.Sequential(*layers)
    modules |= {name: peers_executorch.quantized(floats, name) for name in peers_executorch.XNNPACK_QUANTIZED}
    result: dict[int, dict[str, Runner]] = {tokens: {} for tokens in shape.tokens}
    for name, module in modules.items():
        methods = {f"tokens_{tokens}": (x,) for tokens, x in inputs.items()}
        by_method = peers_executorch.runners(module, methods)
        for tokens in shape.tokens:
            result[tokens][name] = by_method[f"tokens_{tokens}"]
    for name, session in _sessions(layers, threads).items():
        for tokens, x in inputs.items():
            result[tokens][name] = peers_onnxruntime.runner(session, {"x": x.numpy()})
    return result


def _sessions(layers: Sequence[nn.Linear], threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="hqdit-bench-") as name:
        folder = Path(name)
        float32 = folder / "float32.onnx"
        onnx.save_model(peers_onnxruntime.linear_model(layers), float32)
        files = peers_onnxruntime.variants(float32)
        # A session has read its file when it is made.
        return {name: peers_onnxruntime.session(path, threads) for name, path in files.items()}
