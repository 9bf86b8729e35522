# SPDX-License-Identifier: Apache-2.0
"""The operator against docs/fp4-linear.md, written here a second time as scalar loops in NumPy and Python integers."""

import math

import numpy as np
import pytest
import torch

from hqdit_mobile.ops.formats import lookup_tables
from hqdit_mobile.ops.fp4_linear import FP4Linear, check_arguments, fp4_linear_reference, quantize_activation
from hqdit_mobile.ops.rotation import hadamard, random_signs

GRIDS = {"e2m1": (0, 1, 2, 3, 4, 6, 8, 12), "e1m2": (0, 1, 2, 3, 4, 5, 6, 7)}
POINTS = {"e2m1": (1, 3, 5, 7, 10, 14, 20), "e1m2": (1, 3, 5, 7, 9, 11, 13)}


def nearest(t: int, r: int, format: str) -> int:
    index = sum(8 * r * point <= abs(t) for point in POINTS[format])
    return (-1 if t < 0 else 1) * r * GRIDS[format][index]


def quantize_group(group: list[int], activation: str) -> list[int]:
    g = max(abs(t) for t in group)
    r1, r2 = max(1, math.ceil(g / 192)), max(1, math.ceil(g / 112))
    choices = [("e2m1", r1), ("e1m2", r2), ("e2m1", max(1, r1 - 1)), ("e1m2", max(1, r2 - 1))]
    results = [[nearest(t, r, format) for t in group] for format, r in choices]
    if activation == "e2m1":
        return results[0]
    errors = [sum((t - 16 * a) ** 2 for t, a in zip(group, result, strict=True)) for result in results]
    return results[errors.index(min(errors))]


def quantize_token(x: np.ndarray, activation: str, group: int) -> tuple[list[int], np.float32]:
    amax = np.abs(x).max()
    if not np.isfinite(x).all():
        return [0] * len(x), np.float32("nan")
    if amax < np.float32(2.0**-100):
        return [0] * len(x), np.float32(0)
    if activation == "int8":
        a = np.clip(np.rint(x * (np.float32(127) / amax)), -127, 127)
        return [int(v) for v in a], amax / np.float32(127)
    t = [int(v) for v in np.clip(np.rint(x * (np.float32(1920) / amax)), -1920, 1920)]
    a = [v for start in range(0, len(t), group) for v in quantize_group(t[start : start + group], activation)]
    return a, amax / np.float32(120)


def make_layer(n, k, *, seed=0, group=16, rotation=1, activation="int8", activation_group=16, bias=True, pre=None):
    generator = torch.Generator().manual_seed(seed)
    layer = FP4Linear(
        k, n, bias=bias, pre=pre is not None, group=group, rotation=rotation,
        activation=activation, activation_group=activation_group,
    )  # fmt: skip
    groups = math.ceil(k / group)
    layer.set_weight(
        torch.randint(0, 16, (n, k), generator=generator, dtype=torch.uint8),
        torch.randint(0, 29, (n, groups), generator=generator, dtype=torch.uint8),
        torch.rand(n, generator=generator) * 0.01,
    )
    if bias:
        layer.bias = torch.randn(n, generator=generator)
    if pre is not None:
        layer.pre = pre
    return layer


def expected_output(layer: FP4Linear, rotated: torch.Tensor) -> torch.Tensor:
    """Steps 3 to 5 of the page in loops, from inputs that are rotated already."""
    lattice = layer.lattice().tolist()
    out = np.empty((len(rotated), layer.out_features), dtype=np.float32)
    for m, row in enumerate(rotated.numpy()):
        a, token_scale = quantize_token(row, layer.activation, layer.activation_group)
        for n in range(layer.out_features):
            acc = sum(x * w for x, w in zip(a, lattice[n], strict=True))
            out[m, n] = np.float32(acc) * layer.scale[n].numpy() * token_scale
            if layer.bias is not None:
                out[m, n] += layer.bias[n].numpy()
    return torch.from_numpy(out)


SHAPES = [(5, 16, 16), (3, 17, 40), (2, 33, 96), (1, 7, 1)]
EVERY = [(a, g) for a in ("int8", "fp4", "e2m1") for g in (16, 32, 4096)]


@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
@pytest.mark.parametrize(("activation", "group"), EVERY)
def test_reference_and_operator_equal_the_scalar_definition(m, n, k, activation, group):
    layer = make_layer(n, k, seed=m * n * k, group=group, activation=activation, activation_group=group, bias=n != 33)
    x = torch.randn(m, k, generator=torch.Generator().manual_seed(1))
    expected = expected_output(layer, x)
    assert torch.equal(fp4_linear_reference(*layer.operands(x)), expected)
    assert torch.equal(layer(x), expected)


def test_every_table_and_code_reaches_the_output():
    """29 tables x 16 codes, weighed by a one-hot input whose int8 value is 127."""
    layer = FP4Linear(16, 29, group=16, bias=False)
    layer.set_weight(
        torch.arange(16, dtype=torch.uint8).repeat(29, 1),
        torch.arange(29, dtype=torch.uint8)[:, None],
        torch.ones(29),
    )
    assert torch.equal(fp4_linear_reference(*layer.operands(torch.eye(16))).round(), lookup_tables().t().float())


@pytest.mark.parametrize("activation", ["fp4", "e2m1"])
def test_every_sixteenth_of_a_step_and_every_tie(activation):
    """Each t in 0..1920 as the largest of a group, with neighbours at and around the decision points."""
    values = torch.arange(1921).float()
    others = torch.randint(0, 1921, (1921, 14), generator=torch.Generator().manual_seed(0))
    others = others % (values.long()[:, None] + 1)
    signs = torch.where(torch.arange(14) % 2 == 0, 1, -1)
    groups = torch.cat([values[:, None], (others * signs).float(), -values[:, None]], dim=1)
    # A first group with 1920 in it makes amax / 1920 = 1, so that t is x itself.
    x = torch.cat([torch.tensor([1920.0] + [0.0] * 15).expand(1921, 16), groups], dim=1)
    points, scale = quantize_activation(x, activation, 16)
    assert (scale == 16).all()
    expected = [quantize_group([int(v) for v in row], activation) for row in groups]
    assert points[:, 16:].tolist() == expected


def test_ties_of_int8_go_to_even():
    x = torch.tensor([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5]])
    assert quantize_activation(x, "int8", 16)[0].tolist() == [[127, 0, 2, 2, 0, -2, -2]]


@pytest.mark.parametrize("activation", ["int8", "fp4", "e2m1"])
def test_nan_inf_zero_and_tiny_tokens(activation):
    layer = make_layer(5, 32, activation=activation, rotation=4, pre=torch.ones(32))
    x = torch.randn(6, 32, generator=torch.Generator().manual_seed(2))
    x[0, 3], x[1, 5], x[2, 7] = float("nan"), float("inf"), float("-inf")
    x[3], x[4] = 0.0, 2.0**-110
    for out in (fp4_linear_reference(*layer.operands(x)), layer(x)):
        assert out[:3].isnan().all()
        assert torch.equal(out[3], layer.bias) and torch.equal(out[4], layer.bias)
        assert out[5].isfinite().all()


@pytest.mark.parametrize("rotation", [1, 4, 32, 12, 96])
def test_rotation_leaves_the_product_as_it_was(rotation):
    """With its own dequantized weight in the original basis, a layer differs from nn.Linear by int8 rounding alone."""
    k = 2 * max(rotation, 48)
    pre = random_signs(k, 3) / math.sqrt(rotation)
    layer = make_layer(24, k, rotation=rotation, pre=pre, seed=4)
    x = torch.randn(64, k, generator=torch.Generator().manual_seed(5))
    rotated = (x.double() * pre).view(-1, rotation) @ hadamard(rotation).double()
    lattice = layer.lattice().double() * layer.scale.double()[:, None]
    exact = rotated.view(64, k) @ lattice.t() + layer.bias
    torch.testing.assert_close(
        x.double() @ layer.dequantized_weight().double().t() + layer.bias, exact, rtol=0, atol=1e-4
    )
    error = fp4_linear_reference(*layer.operands(x)).double() - exact
    # A token of Gaussian values rounded to steps of amax / 127 has an error of about 0.7 % of its size.
    assert error.norm() < 0.012 * (exact - layer.bias).norm()
    assert torch.equal(layer(x), fp4_linear_reference(*layer.operands(x)))


@pytest.mark.parametrize("name", ["fp4_linear", "fp4_linear_gelu"])
def test_operators_are_registered_as_torch_wants_them(name):
    layer = make_layer(8, 32, pre=torch.ones(32), rotation=32, activation="fp4")
    x = torch.randn(2, 3, 32)
    operator = getattr(torch.ops.hqdit, name)
    torch.library.opcheck(operator.default, layer.operands(x))
    out = torch.empty(0)
    assert operator.out(*layer.operands(x), out=out) is out
    assert torch.equal(out, layer(x, gelu=name.endswith("gelu"))) and out.shape == (2, 3, 8)
    assert operator.default(*[a.to("meta") if torch.is_tensor(a) else a for a in layer.operands(x)]).shape == (2, 3, 8)


def test_gelu_is_the_one_of_torch():
    layer = make_layer(8, 32, pre=torch.ones(32), rotation=32)
    x = torch.randn(2, 3, 32)
    exact = torch.nn.functional.gelu(fp4_linear_reference(*layer.operands(x)).double(), approximate="tanh")
    torch.testing.assert_close(layer(x, gelu=True).double(), exact, rtol=1e-5, atol=1e-6)
    assert torch.equal(layer(x, gelu=True), torch.ops.hqdit.gelu_tanh(layer(x)))


def test_executorch_finds_the_out_variant():
    from executorch.exir import EdgeCompileConfig, to_edge

    layer = make_layer(8, 32)
    program = to_edge(
        torch.export.export(layer, (torch.randn(3, 32),)), compile_config=EdgeCompileConfig(_check_ir_validity=False)
    ).to_executorch()
    operators = [op.name for plan in program.executorch_program.execution_plan for op in plan.operators]
    assert operators == ["hqdit::fp4_linear"]
    assert program.executorch_program.execution_plan[0].operators[0].overload == "out"


def test_state_dict_round_trip():
    layer = make_layer(9, 48, pre=random_signs(48, 1) / 4, rotation=16)
    copy = FP4Linear(48, 9, pre=True, rotation=16)
    copy.load_state_dict(layer.state_dict())
    x = torch.randn(4, 48)
    assert torch.equal(copy(x), layer(x))
    assert "rotation=16" in repr(copy) and "48, 9" in repr(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 32, dtype=torch.float64)}, "x must be float32"),
        ({"group": 24}, "group must be a multiple of 16"),
        ({"activation_group": 0}, "activation_group must be"),
        ({"activation": "fp8"}, "activation must be one of"),
        ({"rotation": 64}, "rotation 64 does not divide"),
        ({"rotation": 20}, "rotation 20 is not"),
        ({"scale": torch.zeros(9)}, "scale must be"),
        ({"codes": torch.zeros(1, 2, 16, 16, dtype=torch.uint8)}, "codes must be"),
        ({"tables": torch.zeros(1, 3, 16, dtype=torch.uint8)}, "tables must be"),
        ({"bias": torch.zeros(3)}, "bias must be"),
        ({"pre": torch.zeros(3)}, "pre must be"),
    ],
)
def test_bad_arguments_are_named(change, message):
    names = (
        "x",
        "codes",
        "tables",
        "scale",
        "bias",
        "pre",
        "out_features",
        "group",
        "rotation",
        "activation",
        "activation_group",
    )
    layer = make_layer(8, 32)
    arguments = dict(zip(names, layer.operands(torch.zeros(2, 32)), strict=True)) | change
    with pytest.raises(ValueError, match=message):
        check_arguments(*arguments.values())
    with pytest.raises(ValueError, match=message):
        torch.ops.hqdit.fp4_linear(*arguments.values())
