# SPDX-License-Identifier: Apache-2.0
"""One linear layer into one FP4Linear, from the moments of its inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hqdit_mobile.ops.formats import FORMATS, count_formats
from hqdit_mobile.ops.fp4_linear import FP4Linear
from hqdit_mobile.ops.packing import unpack_tables
from hqdit_mobile.ops.rotation import random_signs, rotate, usable_rotation
from hqdit_mobile.quantize.calibration import Moments
from hqdit_mobile.quantize.channel_formats import by_channel
from hqdit_mobile.quantize.config import CHANNEL, HQDiTConfig
from hqdit_mobile.quantize.coordinate_descent import descend
from hqdit_mobile.quantize.gptq import damped, quantize_weight
from hqdit_mobile.util.metrics import snr_db
from hqdit_mobile.util.rows import by_rows


@dataclass(frozen=True)
class LayerReport:
    """What quantization has made of one linear layer.

    Attributes:
        name: in the model, such as "blocks.3.mlp.fc1".
        in_features: K.
        out_features: N.
        activation: of the inputs: "int8", "fp4" or "e2m1" (docs/fp4-linear.md).
        rotation: order of the block Hadamard.
        bits_per_weight: stored bits, scales and tables included.
        formats: number of weight groups of each FP4 format.
        snr_db: signal over error of the layer's output against its float twin's, about its mean, in dB, on a sample of
            the calibration data.
    """

    name: str
    in_features: int
    out_features: int
    activation: str
    rotation: int
    bits_per_weight: float
    formats: dict[str, int]
    snr_db: float


def new_layer(linear: nn.Linear, config: HQDiTConfig, activation: str, input_power: Tensor) -> FP4Linear:
    """The FP4Linear that will replace `linear`, with its input transform set and its weights empty.

    input_power [K]: mean square of each input channel up to a common factor.
    """
    k = linear.in_features
    rotation = usable_rotation(k, config.rotation)
    group = config.group_size(k)
    layer = FP4Linear(
        k, linear.out_features, pre=True, group=group, rotation=rotation,
        activation=activation, activation_group=group,
    )  # fmt: skip
    layer.pre = random_signs(k, config.seed) / math.sqrt(rotation)
    if config.smoothing:
        layer.pre /= smoothing(linear.weight, input_power)
    return layer


def smoothing(weight: Tensor, input_power: Tensor) -> Tensor:
    """Divisors [K] of the input channels that balance them with the weight columns they meet.

    The noise of a block that shares a scale is about sum_j (x_j / s_j)^2 * sum_j (s_j w_j)^2. With x and w the root
    mean squares of input channel and weight column, s = sqrt(x / w) makes it least (Cauchy-Schwarz). Nearly dead
    channels are held at a thousandth of the mean, lest a divisor leave float32.
    """
    x, w = input_power.double().sqrt(), weight.detach().double().square().sum(dim=0).sqrt()
    x, w = (v.clamp(min=float(v.mean()) * 1e-3 or 1.0) for v in (x, w))
    divisor = (x / w).sqrt()
    return (divisor / divisor.log().mean().exp()).float()


def transformed_weight(linear: nn.Linear, layer: FP4Linear) -> Tensor:
    """float64 [N, K]: the weight in the basis of `layer`'s inputs: times the inverse of diag(pre) H."""
    assert layer.pre is not None
    divisor = layer.pre.double() * layer.rotation
    return by_rows(lambda rows: rotate(rows.double() / divisor, layer.rotation), linear.weight.detach())


def needs_products(config: HQDiTConfig) -> bool:
    """Whether fill_layer looks at more of a layer's inputs than their mean."""
    return config.rounding == "gptq" or config.shrinkage > 0


def fill_layer(name: str, linear: nn.Linear, layer: FP4Linear, moments: Moments, config: HQDiTConfig) -> LayerReport:
    """Quantizes `linear` into `layer` from the moments of its inputs.

    What the codes do to the mean goes into the bias.
    """
    weight = transformed_weight(linear, layer)
    mean, quantized_mean = moments.total / moments.tokens, moments.quantized_total / moments.tokens
    target, hessian = weight, None
    if moments.gram is not None and moments.cross is not None:
        gram = moments.gram / moments.tokens - torch.outer(quantized_mean, quantized_mean)
        hessian = damped(gram, config.damping)
        if config.shrinkage:
            cross = moments.cross / moments.tokens - torch.outer(mean, quantized_mean)
            least_squares = torch.linalg.solve(hessian, (weight @ (cross + hessian - gram)).t()).t()
            target = weight + config.shrinkage * (least_squares - weight)
    if config.rounding == "nearest":
        hessian = None
    formats = [FORMATS[name] for name in config.weight_formats]
    if config.group == CHANNEL:
        quantized = by_channel(target, hessian, formats, config.format_rule)
    else:
        quantized = quantize_weight(target, hessian, formats, layer.group)
        if hessian is not None:
            for _ in range(config.sweeps):
                quantized = descend(target, hessian, formats, layer.group, quantized)
    layer.set_weight(quantized.codes, quantized.tables, quantized.scale)
    lattice = layer.lattice().double() * layer.scale.double()[:, None]
    layer.bias = linear.bias.detach() + (weight @ mean - lattice @ quantized_mean).float()
    expected, got = linear(moments.sample), layer(moments.sample)
    centre = expected.mean(dim=0)
    return LayerReport(
        name,
        layer.in_features,
        layer.out_features,
        layer.activation,
        layer.rotation,
        layer.stored_bits() / (layer.in_features * layer.out_features),
        count_formats(unpack_tables(layer.tables, layer.out_features)),
        snr_db(expected - centre, got - centre),
    )
