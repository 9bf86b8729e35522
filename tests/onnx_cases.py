# SPDX-License-Identifier: Apache-2.0
"""Small layers and a small DiT for the ONNX tests."""

import math

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper
from tiny_dit import tiny_dit
from torch import nn

from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.export.lowering.onnx.function import (
    ACTIVATION_IDS,
    ATTRIBUTES,
    DOMAIN,
    GELU_NAME,
    INPUTS,
    NAME,
    OPSET,
)
from hqdit_mobile.export.lowering.onnx.lower import IR_VERSION
from hqdit_mobile.export.lowering.onnx.operators import functions
from hqdit_mobile.model.dit import DiT, DiTConfig
from hqdit_mobile.model.loading import LoadedModel
from hqdit_mobile.model.vae import random_vae_decoder
from hqdit_mobile.ops.formats import E2M1, NUM_TABLES, nearest_codes, table_ids
from hqdit_mobile.ops.fp4_linear import FP4Linear
from hqdit_mobile.ops.native import library_path
from hqdit_mobile.ops.packing import groups_per_row
from hqdit_mobile.ops.rotation import random_signs, rotate

CLASSES = 5


def random_layer(n: int, k: int, group=16, rotation=1, activation="int8", activation_group=16, seed=0, **kwargs):
    """An FP4Linear with every table id and code, and biases and scales of mixed size."""
    generator = torch.Generator().manual_seed(seed)
    layer = FP4Linear(
        k, n, group=group, rotation=rotation, activation=activation, activation_group=activation_group,
        pre=rotation > 1, **kwargs,
    )  # fmt: skip
    codes = torch.randint(0, 16, (n, k), generator=generator, dtype=torch.uint8)
    ids = torch.randint(0, NUM_TABLES, (n, groups_per_row(k, group)), generator=generator, dtype=torch.uint8)
    layer.set_weight(codes, ids, torch.rand(n, generator=generator) * 0.01)
    if layer.bias is not None:
        layer.bias.copy_(torch.randn(n, generator=generator))
    if layer.pre is not None:
        layer.pre.copy_(random_signs(k, seed) / math.sqrt(rotation))
    return layer


def layer_model(layer: FP4Linear, shape: torch.Size, gelu: bool = False) -> onnx.ModelProto:
    """x of this shape -> y, by one hqdit.FP4Linear or FP4LinearGelu node named "blocks.0.mlp.fc1"."""
    n, k = layer.out_features, layer.in_features
    bias = torch.zeros(n) if layer.bias is None else layer.bias
    pre = torch.ones(k) if layer.pre is None else layer.pre
    buffers = dict(zip(INPUTS[1:], (layer.codes, layer.tables, layer.scale, bias, pre), strict=True))
    settings = {name: getattr(layer, name) for name in ATTRIBUTES}
    settings["activation"] = ACTIVATION_IDS[layer.activation]
    name = GELU_NAME if gelu else NAME
    node = helper.make_node(name, INPUTS, ["y"], domain=DOMAIN, name="blocks.0.mlp.fc1", **settings)
    ends = [
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [*shape[:-1], size])]
        for name, size in (("x", k), ("y", n))
    ]
    weights = [onnx.numpy_helper.from_array(tensor.numpy(), name) for name, tensor in buffers.items()]
    model = helper.make_model(
        helper.make_graph([node], "layer", *ends, weights),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)],
        functions=functions({name}),
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def rounded(linear: nn.Linear, activation: str) -> FP4Linear:
    """The linear layer with its rotated weights rounded to the nearest E2M1 value."""
    k, n, rotation = linear.in_features, linear.out_features, math.gcd(linear.in_features, 32)
    layer = FP4Linear(k, n, pre=True, rotation=rotation, activation=activation)
    layer.bias.copy_(linear.bias)
    layer.pre.copy_(random_signs(k, 0) / math.sqrt(rotation))
    groups = rotate(linear.weight * layer.pre, rotation).view(n, k // 16, 16)
    scale = groups.abs().amax(dim=(1, 2)) / 120
    multiplier = (groups.abs().amax(dim=2) / (12 * scale[:, None])).ceil().clamp(1, 10)
    codes = nearest_codes(groups / (scale[:, None, None] * multiplier[..., None]), E2M1)
    layer.set_weight(codes.view(n, k), table_ids(E2M1, multiplier.int()), scale)
    return layer


@torch.no_grad()
def float_dit() -> DiT:
    """A DiT of two blocks with weights of a trained one's size."""
    dit = tiny_dit(DiTConfig(64, 2, 4, sample_size=8, out_channels=4, num_classes=CLASSES))
    for parameter in dit.parameters():
        nn.init.normal_(parameter, std=0.05)
    return dit


@torch.no_grad()
def round_(dit: DiT, activation: str = "int8") -> DiT:
    """Quantizes every linear layer in place."""
    for module in list(dit.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, rounded(child, activation))
    return dit


def small_dit(activation: str = "int8") -> DiT:
    return round_(float_dit(), activation)


def small_model(dit: DiT | None = None) -> LoadedModel:
    torch.manual_seed(0)
    blocks = {"up_block_types": ["UpDecoderBlock2D"] * 2, "down_block_types": ["DownEncoderBlock2D"] * 2}
    sizes = {"block_out_channels": [8, 8], "norm_num_groups": 4, "layers_per_block": 1, "latent_channels": 4}
    labels = [f"class {i}" for i in range(CLASSES)]
    decoder = random_vae_decoder(blocks | sizes)
    return LoadedModel("small", "a test", "none", dit or small_dit(), decoder, Process(), labels)


def session(model, native: bool, threads: int = 1, optimized: str = "") -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.optimized_model_filepath = optimized
    if native:
        options.register_custom_ops_library(str(library_path("hqdit_ort")))
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(model, native: bool, threads: int = 1, **inputs) -> torch.Tensor:
    values = {name: np.ascontiguousarray(value.numpy()) for name, value in inputs.items()}
    return torch.from_numpy(session(model, native, threads).run(None, values)[0])
