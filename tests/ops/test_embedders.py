# SPDX-License-Identifier: Apache-2.0
"""linear_f32, silu_f32 and timestep_embedding (docs/float-ops.md) against float64."""

import math

import numpy as np
import pytest
import torch
from float_cases import ROUNDING, assert_within, normal

from hqdit_mobile.ops import float_ops, native

ops = torch.ops.hqdit
pytestmark = pytest.mark.usefixtures("isa")


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"),
    [
        (256, 16, 384),
        (512, 384, 16),
        (1, 256, 384),
        (2, 1152, 65),
        (3, 1, 1),
        (25, 31, 64),
        (130, 6, 129),
        (49, 99, 17),
    ],
)
@pytest.mark.parametrize("with_bias", [True, False])
def test_linear(rows, inputs, outputs, with_bias):
    x, weight = normal(1, rows, inputs), normal(2, outputs, inputs)
    bias = normal(3, outputs, scale=4) if with_bias else None
    start = torch.zeros(1) if bias is None else bias
    expected = x.double() @ weight.double().T + start
    bound = ROUNDING * 1.01 * (inputs + 1) * (x.double().abs() @ weight.double().abs().T + start.abs())
    assert_within(ops.linear_f32(x, weight, bias), expected, bound)
    assert_within(float_ops.linear_f32(x, weight, bias), expected, bound)


def test_linear_adds_in_order():
    """Bit for bit the chain of the definition: with 12 significant bits a product is exact in float32, and with close
    exponents a sum is exact in float64, so that rounding it to float32 is the rounding of a fused multiply-add."""
    rng = np.random.default_rng(4)
    x, weight = (rng.integers(-2048, 2049, (n, 531)).astype(np.float32) for n in (30, 70))
    bias = (rng.integers(-(2**23), 2**23, 70) * 0.25).astype(np.float32)
    expected = np.broadcast_to(bias, (30, 70))
    for k in range(531):
        product = x[:, None, k].astype(np.float64) * weight[None, :, k]
        expected = (expected.astype(np.float64) + product).astype(np.float32)
    assert not np.array_equal(expected, x.astype(np.float64) @ weight.T + bias)  # some sum was rounded
    actual = ops.linear_f32(torch.from_numpy(x), torch.from_numpy(weight), torch.from_numpy(bias))
    assert np.array_equal(actual.numpy(), expected)


def test_linear_keeps_leading_sizes():
    x, weight = normal(5, 2, 3, 5), normal(6, 7, 5)
    assert torch.equal(ops.linear_f32(x, weight, None), ops.linear_f32(x.flatten(0, 1), weight, None).view(2, 3, 7))
    assert ops.linear_f32(x[0, 0], weight, None).shape == (7,)
    assert ops.linear_f32(x[:0], weight, None).shape == (0, 3, 7)


def test_linear_propagates():
    x, weight = normal(7, 4, 18), normal(8, 33, 18)
    x[2, 17], weight[5, 3] = math.nan, math.inf
    out = ops.linear_f32(x, weight, None)
    bad = torch.zeros(4, 33, dtype=torch.bool)
    bad[2], bad[:, 5] = True, True
    assert torch.equal(~out.isfinite(), bad)


@pytest.mark.parametrize("count", [1, 15, 17, 30_001])
def test_silu(count):
    x = torch.cat([normal(9, count, scale=3), torch.linspace(-88, 88, count), torch.logspace(-40, 1, count)])
    exact = x.double()
    expected = exact * torch.sigmoid(exact)
    # The exponent has one rounding, of which the result sees x * (1 - sigmoid); then exp2, a sum, a quotient.
    bound = ROUNDING * expected.abs() * (1.01 * exact.abs() * torch.sigmoid(-exact) + 5)
    assert_within(ops.silu_f32(x), expected, bound)
    torch.testing.assert_close(float_ops.silu_f32(x), expected.float(), rtol=1e-5, atol=1e-6)


def test_silu_at_the_ends():
    x = torch.tensor([math.inf, -math.inf, math.nan, 0.0, -0.0, 3e38, -3e38, -100.0])
    out = ops.silu_f32(x)
    assert out[0] == math.inf and out[5] == x[5]
    assert torch.equal(out.isnan(), float_ops.silu_f32(x).isnan())
    assert (out[[3, 4, 6, 7]] == 0).all()


def assert_rounded(actual: torch.Tensor, exact: np.ndarray) -> None:
    """The nearest float32, but for what float64 itself is off."""
    error = np.abs(actual.numpy().astype(np.float64) - exact)
    limit = 0.5 * np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    assert (error <= limit * 1.0001).all(), (error / limit).max()


def check_timesteps(timestep: np.ndarray, frequencies: np.ndarray) -> None:
    out = ops.timestep_embedding(torch.from_numpy(timestep), torch.from_numpy(frequencies))
    angle = (timestep[:, None] * frequencies).astype(np.float64)
    assert_rounded(out, np.concatenate([np.cos(angle), np.sin(angle)], axis=1))


@pytest.mark.parametrize("shift", [0, 1])
def test_timestep_embedding(shift):
    frequencies = np.exp(-math.log(10000) * np.arange(128) / (128 - shift)).astype(np.float32)
    fractional = np.random.default_rng(10).uniform(0, 1000, 500)
    check_timesteps(np.concatenate([np.arange(1001), fractional]).astype(np.float32), frequencies)


def test_timestep_embedding_next_to_zeros():
    """The float32 nearest to a multiple of a quarter turn: its sine or cosine needs all digits of pi."""
    angle = (np.arange(-20_000, 20_000) * (math.pi / 2)).astype(np.float32)
    check_timesteps(np.ones(1, np.float32), angle)
    check_timesteps(np.ones(1, np.float32), np.float32([2**20, -(2**20), 1e-40, 1e-20, 0.0, -0.0, 667_533.9]))


def test_timestep_embedding_without_a_result():
    out = ops.timestep_embedding(torch.tensor([1.0, math.nan]), torch.tensor([1.0, math.inf, 2.0**21]))
    assert out.isnan().tolist() == [[False, True, True] * 2, [True] * 6]


def test_threads_do_not_change_bits():
    x, weight, bias = normal(11, 300, 50), normal(12, 70, 50), normal(13, 70)
    one, two = (native.call("linear_f32", (x, weight, bias), (300, 70), threads=n) for n in (1, 2))
    assert torch.equal(one, two)
    one, two = (native.call("silu_f32", (x,), x.shape, threads=n) for n in (1, 2))
    assert torch.equal(one, two)


def test_inputs_need_not_be_contiguous():
    x, weight = normal(14, 20, 9).T, normal(15, 20, 6).T
    assert torch.equal(ops.linear_f32(x, weight, None), ops.linear_f32(x.contiguous(), weight.contiguous(), None))


X, WEIGHT = torch.zeros(3, 8), torch.zeros(5, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.linear_f32(X, torch.zeros(5, 9), None), r"x must be \[..., K\] and weight \[N, K\]"),
        (lambda: ops.linear_f32(torch.tensor(1.0), WEIGHT, None), r"x must be \[..., K\]"),
        (lambda: ops.linear_f32(X[:, :0], WEIGHT[:, :0], None), "K >= 1"),
        (lambda: ops.linear_f32(X, WEIGHT[0], None), "weight must be float32"),
        (lambda: ops.linear_f32(X.half(), WEIGHT, None), "x must be float32"),
        (lambda: ops.linear_f32(X, WEIGHT, torch.zeros(8)), r"bias must be float32 \[5\]"),
        (lambda: ops.silu_f32(X.double()), "x must be float32"),
        (lambda: ops.timestep_embedding(torch.tensor([5]), torch.zeros(4)), "timestep must be float32"),
        (lambda: ops.timestep_embedding(torch.zeros(2), torch.zeros(4, 1)), "frequencies must be float32"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        (ops.linear_f32, (normal(16, 2, 3, 8), normal(17, 5, 8), normal(18, 5))),
        (ops.linear_f32, (normal(16, 2, 3, 8), normal(17, 5, 8), None)),
        (ops.silu_f32, (normal(19, 2, 3),)),
        (ops.timestep_embedding, (torch.tensor([3.5, 950.0]), normal(20, 7))),
    ],
    ids=["linear_f32 with bias", "linear_f32", "silu_f32", "timestep_embedding"],
)
def test_registration(op, arguments):
    """torch's own checks of schema and fake kernel, and the .out overload."""
    torch.library.opcheck(op.default, arguments, test_utils=("test_schema", "test_faketensor"))
    expected = op(*arguments)
    out = torch.empty(0)
    assert op.out(*arguments, out=out) is out
    assert torch.equal(out, expected)
