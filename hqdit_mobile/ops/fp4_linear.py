# SPDX-License-Identifier: Apache-2.0
"""hqdit::fp4_linear and fp4_linear_gelu in plain torch, as operators and as a module (docs/fp4-linear.md)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hqdit_mobile.ops import float_ops
from hqdit_mobile.ops.formats import E1M2, E2M1, Format, lookup_tables
from hqdit_mobile.ops.hadamard_orders import split_order
from hqdit_mobile.ops.operator import Operator, register
from hqdit_mobile.ops.packing import groups_per_row, pack_codes, pack_tables, unpack_codes, unpack_tables
from hqdit_mobile.ops.rotation import rotate

ACTIVATIONS = ("int8", "fp4", "e2m1")
SMALLEST_AMAX = 2.0**-100  # below it a token counts as zero: 1920 / amax must stay finite
MAX_IN_FEATURES = 133_120  # 127 * 127 * K < 2^31


def weight_lattice(codes: Tensor, tables: Tensor, out_features: int, in_features: int, group: int) -> Tensor:
    """The int8 lattice points [N, K] of packed weights."""
    ids = unpack_tables(tables, out_features).long()
    per_input = ids.repeat_interleave(min(group, in_features), dim=1)[:, :in_features]
    flat = lookup_tables(codes.device).flatten()
    return flat[per_input * 16 + unpack_codes(codes, out_features, in_features).long()]


def _nearest(t: Tensor, format: Format, multiplier: Tensor) -> Tensor:
    """Lattice points multiplier * grid[i] nearest to |t| / 16; ties go up. t int32 >= 0, multiplier int32 [..., 1]."""
    # The decision points 8 r (g[i] + g[i+1]) are multiples of 8 r: an integer division finds the interval.
    sums = torch.tensor([a + b for a, b in zip(format.grid, format.grid[1:], strict=False)], device=t.device)
    steps = torch.arange(int(sums[-1]) + 1, device=t.device)
    value_of_step = torch.tensor(format.grid, dtype=torch.int32, device=t.device)[
        torch.bucketize(steps, sums, right=True)
    ]
    step = (t // (8 * multiplier)).clamp_(max=int(sums[-1]))
    return multiplier * value_of_step[step.long()]


def _quantize_fp4(t: Tensor, group: int, choose: bool) -> Tensor:
    """t int32 [M, K] in sixteenths of a lattice step -> lattice points int32 [M, K]."""
    rows, k = t.shape
    size = min(group, k)
    groups = F.pad(t, (0, -k % size)).view(rows, -1, size)
    magnitude = groups.abs()
    largest = magnitude.amax(dim=-1, keepdim=True)
    r1 = ((largest + 191) // 192).clamp_(min=1)
    r2 = ((largest + 111) // 112).clamp_(min=1)
    best = _nearest(magnitude, E2M1, r1)
    if choose:
        least = (magnitude - 16 * best).long().square().sum(dim=-1, keepdim=True)
        for format, multiplier in ((E1M2, r2), (E2M1, (r1 - 1).clamp(min=1)), (E1M2, (r2 - 1).clamp(min=1))):
            points = _nearest(magnitude, format, multiplier)
            error = (magnitude - 16 * points).long().square().sum(dim=-1, keepdim=True)
            better = error < least
            best = torch.where(better, points, best)
            least = torch.where(better, error, least)
    return (best * groups.sign()).view(rows, -1)[:, :k]


def quantize_activation(x: Tensor, activation: str, group: int) -> tuple[Tensor, Tensor]:
    """Rotated inputs float32 [M, K] -> (lattice points int32 [M, K], token_scale float32 [M])."""
    amax = x.abs().amax(dim=-1)
    bad = ~torch.isfinite(x).all(dim=-1)
    zero = amax < SMALLEST_AMAX
    steps, range_max = (127.0, 127) if activation == "int8" else (1920.0, 1920)
    # Tokens without a usable scale are computed with amax = 1 and replaced below.
    safe = torch.where(bad | zero, torch.ones_like(amax), amax)
    # A tensor on both sides: torch computes scalar / tensor as a reciprocal and a product, which rounds twice.
    factor = torch.full_like(safe, steps) / safe
    scaled = torch.round(x * factor.unsqueeze(-1)).clamp(-range_max, range_max)
    scaled = torch.where((bad | zero).unsqueeze(-1), torch.zeros_like(scaled), scaled).to(torch.int32)
    points = scaled if activation == "int8" else _quantize_fp4(scaled, group, choose=activation == "fp4")
    scale = safe / (127.0 if activation == "int8" else 120.0)
    scale = torch.where(zero, torch.zeros_like(scale), scale)
    return points, torch.where(bad, torch.full_like(scale, float("nan")), scale)


def fp4_linear_reference(
    x: Tensor,
    codes: Tensor,
    tables: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    pre: Tensor | None,
    out_features: int,
    group: int,
    rotation: int,
    activation: str,
    activation_group: int,
) -> Tensor:
    """The definition of hqdit::fp4_linear. Every implementation equals it bit for bit, so no step here may be fused
    or reordered. docs/fp4-linear.md has the formulas and the stored layouts.

    Args:
        x: float32 [..., K].
        codes: uint8 [ceil(N / 16), ceil(K / 32), 16, 16], two 4-bit codes a byte.
        tables: uint8 [ceil(N / 16), ceil(K / group), 16], ids of look-up tables.
        scale: float32 [N], of a lattice step of each output channel.
        bias: float32 [N], or None.
        pre: float32 [K], factors of the inputs before the rotation, or None.
        out_features: N.
        group: inputs that share a table: a multiple of 16, or at least K.
        rotation: order of the block Hadamard; it divides K, and 1 is none.
        activation: "int8", "fp4" or "e2m1".
        activation_group: inputs that share a format in "fp4" and "e2m1", as ``group``.

    Returns:
        float32 [..., N].

    Raises:
        ValueError: there is no Hadamard matrix of order ``rotation``. The operator itself,
            ``torch.ops.hqdit.fp4_linear``, checks all shapes, types and settings.
    """
    k = x.shape[-1]
    rows = x.reshape(-1, k)
    if pre is not None:
        rows = rows * pre
    rows = rotate(rows, rotation)
    points, token_scale = quantize_activation(rows, activation, activation_group)
    lattice = weight_lattice(codes, tables, out_features, k, group)
    # float64 holds every partial sum of this product exactly.
    acc = points.double() @ lattice.double().t()
    out = acc.float() * scale * token_scale.unsqueeze(-1)
    if bias is not None:
        out = out + bias
    return out.reshape(*x.shape[:-1], out_features)


def check_arguments(
    x: Tensor,
    codes: Tensor,
    tables: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    pre: Tensor | None,
    out_features: int,
    group: int,
    rotation: int,
    activation: str,
    activation_group: int,
) -> None:
    """Raises ValueError with the argument's name where shapes, types or settings break the contract."""
    k, n = x.shape[-1], out_features
    if x.dtype != torch.float32 or not 1 <= k <= MAX_IN_FEATURES:
        raise ValueError(f"fp4_linear: x must be float32 [..., 1..{MAX_IN_FEATURES}], got {x.dtype} {list(x.shape)}")
    for name, size, at_least in (("group", group, k), ("activation_group", activation_group, k)):
        if size <= 0 or (size % 16 and size < at_least):
            raise ValueError(f"fp4_linear: {name} must be a multiple of 16 or at least K = {k}, got {size}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"fp4_linear: activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    split_order(rotation)
    if k % rotation:
        raise ValueError(f"fp4_linear: rotation {rotation} does not divide K = {k}")
    expected = {
        "codes": (codes, torch.uint8, (-(-n // 16), -(-k // 32), 16, 16)),
        "tables": (tables, torch.uint8, (-(-n // 16), groups_per_row(k, group), 16)),
        "scale": (scale, torch.float32, (n,)),
        "bias": (bias, torch.float32, (n,)),
        "pre": (pre, torch.float32, (k,)),
    }
    for name, (tensor, dtype, shape) in expected.items():
        if tensor is not None and (tensor.dtype != dtype or tuple(tensor.shape) != shape):
            raise ValueError(
                f"fp4_linear: {name} must be {dtype} {list(shape)}, got {tensor.dtype} {list(tensor.shape)}"
            )


def _with_gelu(x: Tensor, *arguments: Any) -> Tensor:
    return float_ops.gelu_tanh(fp4_linear_reference(x, *arguments))


for _name, _definition, _onnx in (
    ("fp4_linear", fp4_linear_reference, "FP4Linear"),
    ("fp4_linear_gelu", _with_gelu, "FP4LinearGelu"),
):
    register(
        Operator(
            _name,
            "Tensor x, Tensor codes, Tensor tables, Tensor scale, Tensor? bias, Tensor? pre, int out_features, "
            "int group, int rotation, str activation, int activation_group",
            _definition,
            check_arguments,
            lambda x, codes, tables, scale, bias, pre, out_features, *_: (*x.shape[:-1], out_features),
            onnx=_onnx,
        )
    )


class FP4Linear(nn.Module):
    """A linear layer with 4-bit float weights and dynamically quantized inputs; drop-in for nn.Linear in inference.

    Buffers are in the stored layout of docs/fp4-linear.md and are filled by `set_weight` or load_state_dict.

    Args:
        in_features: K.
        out_features: N.
        bias: whether there is one.
        pre: whether inputs have factors of their own, which `quantize_` sets.
        group: inputs that share a look-up table: a multiple of 16, or at least K.
        rotation: order of the block Hadamard; it divides K, and 1 is none.
        activation: of the inputs: "int8", "fp4" or "e2m1".
        activation_group: inputs that share a format in "fp4" and "e2m1", as ``group``.

    Raises:
        ValueError: in the first call, for settings that the operator does not know; the message names them.
    """

    codes: Tensor
    tables: Tensor
    scale: Tensor
    bias: Tensor | None
    pre: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        pre: bool = False,
        group: int = 16,
        rotation: int = 1,
        activation: str = "int8",
        activation_group: int = 16,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.group, self.rotation = group, rotation
        self.activation, self.activation_group = activation, activation_group
        self.register_buffer("codes", pack_codes(torch.zeros(out_features, in_features, dtype=torch.uint8)))
        groups = groups_per_row(in_features, group)
        self.register_buffer("tables", pack_tables(torch.zeros(out_features, groups, dtype=torch.uint8)))
        self.register_buffer("scale", torch.zeros(out_features))
        self.register_buffer("bias", torch.zeros(out_features) if bias else None)
        self.register_buffer("pre", torch.ones(in_features) if pre else None)

    def set_weight(self, codes: Tensor, tables: Tensor, scale: Tensor) -> None:
        """Packs a weight.

        Args:
            codes: uint8 [N, K], each 0 to 15.
            tables: uint8 [N, ceil(K / group)], ids of look-up tables, each 0 to 28.
            scale: float32 [N], of a lattice step of each output channel.

        Raises:
            ValueError: in the next call, if a shape does not fit; the message names the tensor.
        """
        self.codes = pack_codes(codes)
        self.tables = pack_tables(tables)
        self.scale = scale.to(torch.float32)

    def operands(self, x: Tensor) -> tuple[Any, ...]:
        """What this layer gives to its operator.

        Args:
            x: float32 [..., K].

        Returns:
            The arguments of hqdit::fp4_linear (and of fp4_linear_reference), in order.
        """
        buffers = self.codes, self.tables, self.scale, self.bias, self.pre
        settings = self.out_features, self.group, self.rotation, self.activation, self.activation_group
        return x, *buffers, *settings

    def forward(self, x: Tensor, gelu: bool = False) -> Tensor:
        """Multiplies.

        Args:
            x: float32 [..., K].
            gelu: the outputs through hqdit::gelu_tanh, with the bits of the two operators one after the other.

        Returns:
            float32 [..., N]; NaN in the rows of tokens that hold NaN or infinity.

        Raises:
            ValueError: a shape, type or setting breaks the operator's contract; the message names it.
        """
        ops = torch.ops.hqdit
        out: Tensor = (ops.fp4_linear_gelu if gelu else ops.fp4_linear)(*self.operands(x))
        return out

    def lattice(self) -> Tensor:
        """The weights as integers.

        Returns:
            int8 [N, K], in units of `scale`, in the rotated basis.
        """
        return weight_lattice(self.codes, self.tables, self.out_features, self.in_features, self.group)

    def dequantized_weight(self) -> Tensor:
        """What nn.Linear would hold; the rotation and `pre` are folded back in.

        Returns:
            float32 [N, K].
        """
        weight = rotate(self.lattice().double() * self.scale.double().unsqueeze(1), self.rotation)
        return (weight if self.pre is None else weight * self.pre.double()).float()

    def stored_bits(self) -> int:
        """What the weights take in a file.

        Returns:
            Bits of codes, tables and scales, without those of bias and `pre`.
        """
        return 8 * (self.codes.numel() + self.tables.numel()) + 32 * self.scale.numel()

    def extra_repr(self) -> str:
        return (
            f"{self.in_features}, {self.out_features}, bias={self.bias is not None}, group={self.group}, "
            f"rotation={self.rotation}, activation={self.activation!r}, activation_group={self.activation_group}"
        )
