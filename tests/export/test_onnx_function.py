# SPDX-License-Identifier: Apache-2.0
"""hqdit.FP4Linear and the step operators as ONNX functions: stock runtimes against the definitions."""

import numpy as np
import onnx
import pytest
import torch
from onnx.inliner import inline_local_functions
from onnx.reference import ReferenceEvaluator
from onnx.shape_inference import infer_shapes
from onnx_cases import layer_model, random_layer, run, session, small_dit

from hqdit_mobile.bench import peers_onnxruntime
from hqdit_mobile.export.bundle.parity_parts import FusedBlock
from hqdit_mobile.export.lowering.onnx.lower import to_onnx
from hqdit_mobile.ops import float_ops
from hqdit_mobile.ops.fp4_linear import fp4_linear_reference
from hqdit_mobile.util.metrics import snr_db

CASES = [
    {"n": 48, "k": 64, "rotation": 32},
    {"n": 33, "k": 50},  # padding in both directions
    {"n": 40, "k": 96, "rotation": 96, "activation": "fp4"},  # a Paley factor
    {"n": 16, "k": 1152, "rotation": 1152, "group": 32},
    {"n": 16, "k": 256, "rotation": 256, "group": 1024, "activation": "e2m1", "activation_group": 64},
    {"n": 17, "k": 80, "rotation": 16, "activation": "fp4", "activation_group": 5000, "bias": False},
    {"n": 20, "k": 200, "rotation": 8, "activation": "fp4", "activation_group": 32},
]


def tokens(k: int, rows: int = 7) -> torch.Tensor:
    x = torch.randn(2, rows, k, generator=torch.Generator().manual_seed(1))
    return x * torch.logspace(-3, 3, rows)[:, None]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_body_equals_the_definition(case):
    """Up to the rounding of the rotation, which now and then moves a value to the next lattice point."""
    layer = random_layer(**case)
    x = tokens(case["k"])
    model = layer_model(layer, x.shape)
    expected = fp4_linear_reference(*layer.operands(x))
    for t in range(x.shape[1]):
        assert snr_db(expected[:, t], run(model, False, x=x)[:, t]) > 60


@pytest.mark.parametrize("case", CASES[:3], ids=str)
def test_gelu_behind_the_body(case):
    layer = random_layer(**case)
    x = tokens(case["k"])
    expected = float_ops.gelu_tanh(fp4_linear_reference(*layer.operands(x)))
    assert snr_db(expected, run(layer_model(layer, x.shape, gelu=True), False, x=x)) > 60


@pytest.mark.parametrize("activation", ["int8", "fp4", "e2m1"])
def test_zero_and_broken_tokens(activation):
    layer = random_layer(24, 64, rotation=32, activation=activation)
    x = tokens(64)
    x[:, 0] = 0
    x[:, 1, 5] = float("nan")
    x[:, 2, 6] = float("inf")
    y = run(layer_model(layer, x.shape), False, x=x)
    assert torch.equal(y[:, 0], layer.bias.expand(2, -1))
    assert not torch.isfinite(y[:, 1:3]).any()
    assert torch.isfinite(y[:, 3:]).all()


def test_weights_fold_to_int8_at_load(tmp_path):
    layer = random_layer(48, 64, rotation=32)
    model = layer_model(layer, tokens(64).shape)
    assert {t.data_type for t in model.graph.initializer if t.name.endswith(("codes", "tables"))} == {
        onnx.TensorProto.UINT8
    }
    session(model, False, optimized=str(tmp_path / "folded.onnx"))
    folded = onnx.load(tmp_path / "folded.onnx")
    kinds = [node.op_type for node in folded.graph.node]
    # The product with its scales in one operator: the runtime recognises the body's order of nodes.
    assert [kind for kind in kinds if "Integer" in kind] == ["MatMulIntegerToFloat"] and len(kinds) < 20
    assert not {"Gather", "BitShift", "If", "Range"} & set(kinds)
    weight = next(t for t in folded.graph.initializer if list(t.dims) == [64, 48])
    exact = peers_onnxruntime.u8_s8_is_exact()
    assert weight.data_type == (onnx.TensorProto.INT8 if exact else onnx.TensorProto.UINT8)
    points = onnx.numpy_helper.to_array(weight).astype(np.int16) - (0 if exact else 128)
    assert np.array_equal(points, layer.lattice().t().numpy())


GENERATOR = torch.Generator().manual_seed(2)
STEP_OPS = {  # settings, shapes of the tensors before them, definition
    "attention": ([4], [(2, 10, 96)], float_ops.attention),
    "attention_int8": ([4], [(2, 10, 96)], float_ops.attention_int8),
    "modulated_norm": ([1, 2, 1e-6], [(2, 10, 32), (2, 96)], float_ops.modulated_norm),
    "gelu_tanh": ([], [(3, 50)], float_ops.gelu_tanh),
    "silu_f32": ([], [(3, 50)], float_ops.silu_f32),
    "linear_f32": ([], [(2, 5, 16), (24, 16), (24,)], float_ops.linear_f32),
    "timestep_embedding": ([], [(3,), (40,)], float_ops.timestep_embedding),
}
TENSORS = {
    name: [torch.randn(*shape, generator=GENERATOR) for shape in shapes] for name, (_, shapes, _) in STEP_OPS.items()
}
GATED = {name: torch.randn(*size) for name, size in (("x", (2, 10, 32)), ("modulation", (2, 96)), ("y", (2, 10, 32)))}


class StepOps(torch.nn.Module):
    """Each operator with inputs of its own, and gated_add."""

    def forward(self, *tensors):
        given = iter(tensors)
        outputs = []
        for name, (settings, shapes, _) in STEP_OPS.items():
            outputs.append(getattr(torch.ops.hqdit, name)(*(next(given) for _ in shapes), *settings))
        x, modulation, y = given
        return *outputs, torch.ops.hqdit.gated_add(x, modulation, 2, y)


@pytest.fixture(scope="module")
def computed() -> dict[str, dict[str, torch.Tensor]]:
    """What each operator computes with the function bodies, with our kernels, and in torch: exporting takes a second,
    however many they are."""
    inputs = {f"{name}{i}": tensor for name, tensors in TENSORS.items() for i, tensor in enumerate(tensors)} | GATED
    names = [*STEP_OPS, "gated_add"]
    module = StepOps()
    model = to_onnx(module, inputs, [f"out_{name}" for name in names])
    values = {name: tensor.numpy() for name, tensor in inputs.items()}
    outputs = {kind: session(model, kind == "native").run(None, values) for kind in ("portable", "native")}
    by_name = {kind: dict(zip(names, map(torch.from_numpy, tensors), strict=True)) for kind, tensors in outputs.items()}
    return by_name | {"torch": dict(zip(names, module(*inputs.values()), strict=True))}


def attention_of_int8(qkv: torch.Tensor) -> torch.Tensor:
    """Attention of 4 heads on what int8 makes of q, k and v, with weights that are not rounded: the function body's."""
    b, t, width = qkv.shape
    parts = qkv.double().view(b, t, 3, 4, width // 12).permute(2, 0, 3, 1, 4)
    steps = (parts[i].abs().amax(dim=dim, keepdim=True) / 127 for i, dim in enumerate((-1, -1, -2)))
    q, k, v = ((part / step).round() * step for part, step in zip(parts, steps, strict=True))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, -1)


@pytest.mark.parametrize("name", STEP_OPS)
def test_step_operators(computed, name):
    """The function bodies against torch's own operators; the kernels have the very bits of hqdit's in torch."""
    settings, _, definition = STEP_OPS[name]
    expected = definition(*TENSORS[name], *settings)
    portable, native = computed["portable"][name], computed["native"][name]
    assert torch.equal(native, computed["torch"][name]) and snr_db(expected, native) > 110
    if name == "attention_int8":
        assert snr_db(expected, portable) > 40
        expected = attention_of_int8(*TENSORS[name])
    assert snr_db(expected, portable) > 110


@pytest.mark.parametrize("kind", ["portable", "native"])
def test_gated_add(computed, kind):
    expected = GATED["x"] + GATED["modulation"].view(2, 3, 1, 32)[:, 2] * GATED["y"]
    torch.testing.assert_close(computed[kind]["gated_add"], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("activation", ["int8", "fp4"])
def test_onnx_reference_runs_a_block(activation):
    """onnx's own evaluator, an implementation of the standard without a line of ONNX Runtime."""
    dit = small_dit(activation)
    inputs = {"tokens": torch.randn(2, 16, 64), "condition": torch.randn(2, 64)}
    block = FusedBlock(dit.blocks[0])
    # It cannot type a Gelu inside of a function, so the functions are expanded first.
    flat = infer_shapes(inline_local_functions(to_onnx(block, inputs, ["out"])))
    assert not {node.domain for node in flat.graph.node} & {"hqdit"}
    got = ReferenceEvaluator(flat).run(None, {name: tensor.numpy() for name, tensor in inputs.items()})[0]
    assert got.dtype == np.float32
    assert snr_db(block(*inputs.values()), got) > 55
