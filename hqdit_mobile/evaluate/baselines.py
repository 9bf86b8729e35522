# SPDX-License-Identifier: Apache-2.0
"""INT4, MXFP4 and NVFP4, simulated in float32: what our recipes are compared with. They cannot be exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.model.network import Network
from hqdit_mobile.ops import formats
from hqdit_mobile.quantize.calibration import CalibrationSet, draw_calibration_set, linear_at, pick_tokens
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.quantize.gptq import damped, inverse_factor

BATCH = 8
INT4 = tuple(float(value) for value in formats.E1M2.grid)  # symmetric INT4
E2M1 = tuple(value / 2 for value in formats.E2M1.grid)
E4M3_MAX = 448.0


@dataclass(frozen=True)
class BlockFormat:
    """grid: the non-negative values; group: inputs that share a scale, None for all of a row or token.

    scale: "float16"; "e8m0", a power of two (OCP Microscaling formats 1.0); "e4m3", times one float32 for the tensor
    (NVFP4). four_over_six: each block maps its largest value to 6 or to 4, whichever errs less (arXiv 2512.02010).
    """

    grid: tuple[float, ...]
    group: int | None
    scale: str
    four_over_six: bool = False

    @property
    def scale_bits(self) -> int:
        return 16 if self.scale == "float16" else 8

    def blocks(self, x: Tensor) -> Tensor:
        """x [R, K] -> [R, K / group, group]."""
        return x.unflatten(1, (-1, self.group or x.shape[1]))

    def scales(self, blocks: Tensor, tensor_scale: Tensor | float = 1.0) -> Tensor:
        """The scale [..., 1] of each block [..., group]; tensor_scale is of the whole tensor (tensor_scale())."""
        largest = blocks.abs().amax(dim=-1, keepdim=True)
        scale = self._storable(largest / self.grid[-1], largest, tensor_scale)
        if not self.four_over_six:
            return scale
        wider = self._storable(largest / 4, largest, tensor_scale)
        errors = [(self.round(blocks, s) - blocks).square().sum(dim=-1, keepdim=True) for s in (scale, wider)]
        return torch.where(errors[1] < errors[0], wider, scale)

    def _storable(self, scale: Tensor, largest: Tensor, tensor_scale: Tensor | float) -> Tensor:
        if self.scale == "float16":
            result = scale.half().float()
        elif self.scale == "e8m0":
            # The format's exponent: that of the largest value less that of the grid's largest, 4 <= 6 < 8.
            result = torch.exp2(torch.floor(torch.log2(largest)) - 2)
        else:
            result = (scale / tensor_scale).clamp(max=E4M3_MAX).to(torch.float8_e4m3fn).float() * tensor_scale
        return torch.where(result > 0, result, torch.ones_like(result))

    def tensor_scale(self, x: Tensor) -> Tensor | float:
        """NVFP4's float32 scale, by which the largest block scale becomes the largest E4M3 value."""
        return 1.0 if self.scale != "e4m3" else (x.abs().amax() / (self.grid[-1] * E4M3_MAX)).clamp(min=1e-30)

    def round(self, x: Tensor, scale: Tensor) -> Tensor:
        grid = torch.tensor(self.grid)
        index = torch.bucketize(x.abs() / scale, (grid[1:] + grid[:-1]) / 2, right=True)
        return torch.copysign(grid[index] * scale, x)

    def quantize(self, x: Tensor) -> Tensor:
        """x float32 [R, K] -> the values that its blocks can hold."""
        blocks = self.blocks(x)
        return self.round(blocks, self.scales(blocks, self.tensor_scale(x))).flatten(1)


INT4_ROW, INT4_G32 = BlockFormat(INT4, None, "float16"), BlockFormat(INT4, 32, "float16")
MXFP4, NVFP4 = BlockFormat(E2M1, 32, "e8m0"), BlockFormat(E2M1, 16, "e4m3")
BASELINES: dict[str, tuple[BlockFormat, bool]] = {
    "int4-rtn": (INT4_ROW, False),
    "int4-g32-rtn": (INT4_G32, False),
    "int4-g32-gptq": (INT4_G32, True),
    "mxfp4-rtn": (MXFP4, False),
    "mxfp4-gptq": (MXFP4, True),
    "nvfp4-rtn": (NVFP4, False),
    "nvfp4-gptq": (NVFP4, True),
    "nvfp4-4over6-gptq": (BlockFormat(E2M1, 16, "e4m3", four_over_six=True), True),
}
"""Name -> (format of weights and activations, whether GPTQ rounds the weights)."""


class BlockQuantizedLinear(nn.Module):
    """A linear layer with weights [N, K] already quantized; quantizes its inputs [..., K] as it goes."""

    activation = "fp4"
    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, format: BlockFormat) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.format = format
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def stored_bits(self) -> int:
        """Bits of codes and scales that a real layer would store."""
        groups = self.in_features // (self.format.group or self.in_features)
        return self.out_features * (4 * self.in_features + self.format.scale_bits * groups)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, {self.format}"

    def forward(self, x: Tensor) -> Tensor:
        quantized = self.format.quantize(x.reshape(-1, x.shape[-1]))
        return F.linear(quantized, self.weight, self.bias).unflatten(0, x.shape[:-1])


def gptq_blocks(weight: Tensor, hessian: Tensor, format: BlockFormat) -> Tensor:
    """GPTQ (arXiv 2210.17323): weight [N, K], damped Hessian [K, K]. A group's scales are set when it is reached."""
    work, factor = weight.clone(), inverse_factor(hessian).float()
    size, tensor_scale = format.group or weight.shape[1], format.tensor_scale(weight)
    for start in range(0, weight.shape[1], size):
        scale = format.scales(work[:, start : start + size], tensor_scale)
        for j in range(start, start + size):
            point = format.round(work[:, j : j + 1], scale)
            error = (work[:, j : j + 1] - point) / factor[j, j]
            work[:, j + 1 :] -= error * factor[j, j + 1 :]
            work[:, j : j + 1] = point
    return work


@torch.no_grad()
def quantize_baseline_(model: Network, name: str, config: HQDiTConfig, process: Process) -> None:
    """Puts the baseline in place of the layers of `model` that recipes are about, calibrated as `config` says.

    Raises ValueError for a name that is not in BASELINES.
    """
    if name not in BASELINES:
        raise ValueError(f"there is no baseline {name!r}; known: {', '.join(BASELINES)}")
    format, use_gptq = BASELINES[name]
    layers = {layer: linear_at(model, layer) for layer in model.recipe_layers()}
    data = draw_calibration_set(model, config, process)
    seen = _tokens(model, layers, data, config.seed)
    for layer, linear in layers.items():
        if use_gptq:
            gram = seen[layer].double().t() @ seen[layer].double()
            weight = gptq_blocks(linear.weight, damped(gram, config.damping), format)
        else:
            weight = format.quantize(linear.weight)
        model.set_submodule(layer, BlockQuantizedLinear(weight, linear.bias, format))


def _tokens(model: Network, layers: Mapping[str, nn.Linear], data: CalibrationSet, seed: int) -> dict[str, Tensor]:
    """A seeded sample of each layer's inputs in the float model: float32 [tokens, K]."""
    generator = torch.Generator().manual_seed(seed)
    seen: dict[str, list[Tensor]] = {name: [] for name in layers}

    def keep(name: str):
        def hook(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            seen[name].append(pick_tokens(arguments[0], generator))

        return hook

    handles = [linear.register_forward_pre_hook(keep(name)) for name, linear in layers.items()]
    try:
        for rows in torch.arange(len(data)).split(BATCH):
            model(*data.at(rows))
    finally:
        for handle in handles:
            handle.remove()
    return {name: torch.cat(parts) for name, parts in seen.items()}
