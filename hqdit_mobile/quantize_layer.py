# SPDX-License-Identifier: Apache-2.0
"""One linear layer into one FP4Linear, from the moments of its inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hqdit_mobile.calibration import Moments
from hqdit_mobile.channel_formats import gptq_by_channel
from hqdit_mobile.config import CHANNEL, HQDiTConfig
from hqdit_mobile.formats import FORMATS, count_formats
from hqdit_mobile.fp4_linear import FP4Linear
from hqdit_mobile.gptq import damped, gptq
from hqdit_mobile.packing import unpack_tables
from hqdit_mobile.rotation import random_signs, rotate, usable_rotation


@dataclass(frozen=True)
class LayerReport:
    """snr_db: output of the layer against its float twin on calibration data, from the second moments.

    formats: number of weight groups per FP4 format.
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
    return rotate(linear.weight.detach().double() / (layer.pre.double() * layer.rotation), layer.rotation)


def fill_layer(name: str, linear: nn.Linear, layer: FP4Linear, moments: Moments, config: HQDiTConfig) -> LayerReport:
    """Quantizes `linear` into `layer` from the moments of its inputs.

    What the codes do to the mean goes into the bias.
    """
    weight = transformed_weight(linear, layer)
    mean, quantized_mean = moments.total / moments.tokens, moments.quantized_total / moments.tokens
    gram = moments.gram / moments.tokens - torch.outer(quantized_mean, quantized_mean)
    cross = moments.cross / moments.tokens - torch.outer(mean, quantized_mean)
    hessian = damped(gram, config.damping)
    target = weight
    if config.shrinkage:
        least_squares = torch.linalg.solve(hessian, (weight @ (cross + hessian - gram)).t()).t()
        target = weight + config.shrinkage * (least_squares - weight)
    if config.rounding == "nearest":
        hessian = torch.eye(layer.in_features, dtype=hessian.dtype)
    formats = [FORMATS[name] for name in config.weight_formats]
    if config.group == CHANNEL:
        quantized = gptq_by_channel(target, hessian, formats, config.format_rule)
    else:
        quantized = gptq(target, hessian, formats, layer.group)
    layer.set_weight(quantized.codes, quantized.tables, quantized.scale)
    lattice = layer.lattice().double() * layer.scale.double()[:, None]
    layer.bias = linear.bias.detach() + (weight @ mean - lattice @ quantized_mean).float()
    # E |W x - Q xq|^2 about the means, which the bias has made equal, expanded into the moments.
    power = moments.power / moments.tokens - float((weight @ mean).square().sum())
    noise = power - 2 * float(((weight @ cross) * lattice).sum()) + float(((lattice @ gram) * lattice).sum())
    return LayerReport(
        name,
        layer.in_features,
        layer.out_features,
        layer.activation,
        layer.rotation,
        layer.stored_bits() / (layer.in_features * layer.out_features),
        count_formats(unpack_tables(layer.tables, layer.out_features)),
        10 * math.log10(power / noise) if noise > 0 and power > 0 else math.inf,
    )
