# SPDX-License-Identifier: Apache-2.0
"""The step operators (docs/float-ops.md) against float64, with error bounds from the number of float32 roundings."""

import math

import numpy as np
import pytest
import torch
from float_cases import ROUNDING, assert_within, normal

from hqdit_mobile.ops import float_ops, native

ops = torch.ops.hqdit
# batch, tokens, heads, head_dim: DiT's own, and sizes that leave a rest in every loop.
SHAPES = [
    (2, 256, 6, 64), (1, 256, 2, 72), (1, 1, 1, 8), (2, 3, 2, 9), (1, 17, 1, 31), (2, 33, 2, 127), (1, 77, 3, 72),
    (1, 100, 1, 128), (3, 47, 1, 16), (1, 300, 1, 10),
]  # fmt: skip


def split_heads(qkv: torch.Tensor, heads: int) -> torch.Tensor:
    """[B, T, 3 D] -> float64 [3, B, heads, T, head_dim]."""
    b, t, width = qkv.shape
    return qkv.double().reshape(b, t, 3, heads, width // 3 // heads).permute(2, 0, 3, 1, 4)


def exact_attention(qkv: torch.Tensor, heads: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The result in float64, and a bound on the error of float32: each logit has head_dim + 3 roundings, each weight
    two logits' errors and a few more, each output a sum over the tokens."""
    q, k, v = split_heads(qkv, heads)
    d, t = q.shape[-1], q.shape[-2]
    weights = torch.softmax(q @ k.mT / math.sqrt(d), dim=-1)
    logit_error = ROUNDING * (d + 3) * (q.abs() @ k.abs().mT / math.sqrt(d)).amax(dim=-1, keepdim=True)
    bound = (2 * logit_error + ROUNDING * (2 * t + 8)) * (weights @ v.abs())
    return tuple((x).transpose(1, 2).flatten(2) for x in (weights @ v, bound))  # type: ignore[return-value]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_attention(isa, shape):
    b, t, heads, d = shape
    qkv = normal(1, b, t, 3 * heads * d, scale=2)
    expected, bound = exact_attention(qkv, heads)
    assert_within(ops.attention(qkv, heads), expected, bound)
    assert_within(float_ops.attention(qkv, heads), expected, bound)


def test_attention_is_not_confused_about_heads(isa):
    """Equal keys give the mean of the values of the same image and head, whatever the query."""
    qkv = normal(2, 2, 5, 3 * 3 * 16)
    qkv.view(2, 5, 3, 3, 16)[:, :, 1] = 1
    expected = split_heads(qkv, 3)[2].mean(dim=2, keepdim=True).expand(-1, -1, 5, -1).transpose(1, 2).flatten(2)
    torch.testing.assert_close(ops.attention(qkv, 3), expected.float(), rtol=1e-6, atol=1e-6)


def test_attention_with_large_logits(isa):
    """Logits of 1e37: the softmax is the largest alone, and nothing overflows."""
    t, d = 20, 8
    qkv = torch.zeros(1, t, 3, d)
    qkv[0, :, 0, 0] = 1e19
    qkv[0, :, 1, 0] = torch.linspace(-1, 1, t) * 1e18
    qkv[0, :, 2] = normal(3, t, d)
    out = ops.attention(qkv.flatten(2), 1)
    assert torch.equal(out, qkv[:, -1:, 2].expand(1, t, d))
    qkv[0, :, 0, 0] = -1e19
    assert torch.equal(ops.attention(qkv.flatten(2), 1), qkv[:, :1, 2].expand(1, t, d))


def test_exponential_is_good_to_one_unit(isa):
    """The weights of two keys with logits 0 and s < 0 have the ratio 2^s; s is computed here as the kernel does."""
    t, d = 2048, 8
    qkv = torch.zeros(1, t, 3, d)
    qkv[0, :, 0, 0] = -torch.linspace(1e-6, 230, t)
    qkv[0, 1, 1, 0] = 1
    qkv[0, 0, 2, 0] = 1
    qkv[0, 1, 2, 1] = 1
    out = ops.attention(qkv.flatten(2), 1)[0].double().numpy()
    s = qkv[0, :, 0, 0].numpy() * np.float32(math.log2(math.e) / math.sqrt(d))
    assert -120 < s.min() < -115
    # One unit in the last place for the exponential, one rounding for each of the two outputs.
    error = np.abs(out[:, 1] / out[:, 0] / np.exp2(s.astype(np.float64)) - 1)
    assert error.max() < 2**-23 + 2 * ROUNDING * 1.01


def int8_error_bound(qkv: torch.Tensor, heads: int) -> torch.Tensor:
    """How far int8 operands can take attention from its exact value. A rounding moves q, k and v by at most half a step
    of their lines; a logit that moves by e changes each weight by a factor within exp(+-2 e); and a weight is rounded
    to half of 1 / 254 of the largest."""
    q, k, v = split_heads(qkv, heads)
    d = q.shape[-1]
    dq, dk, dv = (x.abs().amax(dim=dim, keepdim=True) / 254 for x, dim in ((q, -1), (k, -1), (v, -2)))
    logit = (dq * k.abs().sum(-1)[..., None, :] + (q.abs().sum(-1, keepdim=True) + d * dq) * dk.mT) / math.sqrt(d)
    weights = torch.softmax(q @ k.mT / math.sqrt(d), dim=-1)
    changed = (2 * logit.amax(dim=-1, keepdim=True)).exp() - 1
    rounded = weights.amax(dim=-1, keepdim=True) / (2 * 254)  # the sum of the weights is of those before rounding
    bound = changed * (weights @ (v.abs() + dv)) + dv + rounded * (v.abs() + dv).sum(dim=-2, keepdim=True)
    return bound.transpose(1, 2).flatten(2)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_attention_int8(isa, shape):
    """Its definition to float32's roundings, and exact attention to what int8 operands allow."""
    b, t, heads, d = shape
    qkv = normal(1, b, t, 3 * heads * d)
    out, (exact, rounding) = ops.attention_int8(qkv, heads), exact_attention(qkv, heads)
    torch.testing.assert_close(out, float_ops.attention_int8(qkv, heads), rtol=1e-4, atol=1e-5)
    assert_within(out, exact, int8_error_bound(qkv, heads) + rounding)
    error = (out.double() - exact).square().sum() / exact.square().sum()
    assert 10 * math.log10(float(error)) < -36


def test_attention_int8_is_exact_on_its_grid(isa):
    """Whole numbers up to 127 are their own int8: what is left is the softmax, and its weights in 254 steps."""
    generator = torch.Generator().manual_seed(3)
    qkv = torch.randint(-127, 128, (1, 40, 3, 2, 16), generator=generator).float()
    qkv[:, :, :, :, 0] = 127
    qkv[:, 0, 2] = 127  # the largest of each channel of v
    qkv[:, :, 0] /= 128  # a power of two: q keeps its grid, and logits stay small
    flat = qkv.flatten(2)
    q, k, v = split_heads(flat, 2)
    weights = torch.softmax(q @ k.mT / 4, dim=-1)
    largest = weights.amax(dim=-1, keepdim=True)
    expected = (weights / largest * 254).round() / 254 * largest @ v
    out = ops.attention_int8(flat, 2).double().view(1, 40, 2, 16).transpose(1, 2)
    # A weight within float32's roundings of a tie may go the other way.
    tie = (weights / largest * 254 % 1 - 0.5).abs() < 1e-3
    bound = tie.double() * largest / 254 @ v.abs() + 2e-4 * (weights @ v.abs())
    assert_within(out, expected, bound)
    assert tie.double().mean() < 0.01


@pytest.mark.parametrize("name", ["attention", "attention_int8"])
@pytest.mark.parametrize("part", range(3), ids=["q", "k", "v"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_attention_propagates(isa, name, part, value):
    qkv = normal(4, 2, 21, 3, 2, 10)
    qkv[1, 7, part, 1, 4] = value
    flat = qkv.flatten(2)
    expected = exact_attention(flat, 2)[0].float()
    out = getattr(ops, name)(flat, 2)
    assert not torch.isfinite(expected).all()
    if name == "attention":
        assert torch.equal(out.isnan(), expected.isnan())
        assert torch.equal(out.isinf(), expected.isinf())
        torch.testing.assert_close(out, expected, equal_nan=True, rtol=1e-4, atol=1e-5)
    else:  # a scale cannot be infinite: NaN takes the whole line of numbers that share one
        assert torch.equal(out.isfinite(), float_ops.attention_int8(flat, 2).isfinite())
        assert not out[~expected.isfinite()].isfinite().any() and out[0].isfinite().all()


@pytest.mark.parametrize(("b", "t", "d"), [(2, 256, 384), (1, 3, 1152), (3, 5, 1), (2, 7, 15), (1, 4, 16), (2, 9, 33)])
def test_modulated_norm(isa, b, t, d):
    x, modulation = normal(5, b, t, d, scale=3) + 1, normal(6, b, 6 * d)
    shift, scale = (modulation.double().view(b, 6, 1, d)[:, i] for i in (3, 4))
    exact = x.double()
    mean = exact.mean(dim=-1, keepdim=True)
    inverse = 1 / ((exact - mean).square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()
    normed = (exact - mean) * inverse
    expected = normed * (1 + scale) + shift
    sums = d / 16 + 8  # additions on the way to any one sum
    mean_error = sums * exact.abs().mean(dim=-1, keepdim=True) * inverse
    bound = ROUNDING * ((mean_error + (sums + 4) * normed.abs()) * (1 + scale).abs() * 1.01 + 2 * expected.abs() + 1e-6)
    if d == 1:  # x - mean is 0, and the bound counts roundings of values that are not
        bound = torch.full_like(expected, 1e-6)
    assert_within(ops.modulated_norm(x, modulation, 3, 4, 1e-6), expected, bound)
    assert_within(float_ops.modulated_norm(x, modulation, 3, 4, 1e-6), expected, 4 * bound)


def test_modulated_norm_uses_eps(isa):
    x = torch.full((1, 2, 32), 5.0)
    x[0, 1, ::2] += 1e-3
    out = ops.modulated_norm(x, torch.zeros(1, 64), 0, 1, 1e-2)
    torch.testing.assert_close(
        out, torch.nn.functional.layer_norm(x.double(), (32,), eps=1e-2).float(), rtol=1e-4, atol=1e-5
    )


GROUPS = [(2, 8, 4, (16, 16)), (1, 6, 3, (5, 7)), (1, 32, 1, (1,)), (2, 4, 4, (3,)), (1, 4, 2, (64, 80)), (1, 3, 1, ())]


@pytest.mark.parametrize("silu", [False, True])
@pytest.mark.parametrize(("b", "c", "groups", "size"), GROUPS, ids=str)
def test_group_norm(isa, b, c, groups, size, silu):
    x, weight, bias = normal(20, b, c, *size, scale=3) + 2, normal(21, c), normal(22, c)
    flat = x.double().reshape(b, groups, -1)
    mean = flat.mean(dim=-1, keepdim=True)
    inverse = 1 / ((flat - mean).square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()
    column = (1, c, *(1 for _ in size))
    scale, shift = weight.double().view(column), bias.double().view(column)
    normed = ((flat - mean) * inverse).view(x.shape)
    value = normed * scale + shift
    expected = value * torch.sigmoid(value) if silu else value
    # A sum in 16 lanes over runs of 4,096 has 256 additions and few more on the way to any one result.
    sums = min(flat.shape[-1], 4096) / 16 + 8
    mean_error = (sums * flat.abs().mean(dim=-1, keepdim=True) * inverse).expand(flat.shape).reshape(x.shape)
    bound = ROUNDING * ((mean_error + (sums + 6) * normed.abs()) * scale.abs() + 12 * value.abs() + 1e-6)
    if silu:
        bound = 1.1 * bound + ROUNDING * 8 * value.abs()  # SiLU's slope is at most 1.1
    assert_within(ops.group_norm_f32(x, weight, bias, groups, 1e-6, silu), expected, bound)
    assert_within(float_ops.group_norm_f32(x, weight, bias, groups, 1e-6, silu), expected, 16 * bound)


@pytest.mark.parametrize("silu", [False, True])
@pytest.mark.parametrize(("b", "c", "groups", "size"), GROUPS, ids=str)
def test_group_norm_with_given_statistics(isa, b, c, groups, size, silu):
    x, weight, bias = normal(20, b, c, *size, scale=3) + 2, normal(21, c), normal(22, c)
    statistics = torch.stack([normal(23, groups), normal(24, groups).square() + 0.1], dim=1)
    column = (1, c, *(1 for _ in size))
    mean, variance = (s.double().repeat_interleave(c // groups).view(column) for s in statistics.unbind(1))
    normed = (x.double() - mean) / (variance + 1e-6).sqrt()
    value = normed * weight.double().view(column) + bias.double().view(column)
    expected = value * torch.sigmoid(value) if silu else value
    bound = ROUNDING * (8 * (normed * weight.double().view(column)).abs() + 2 * value.abs() + 1e-6)
    if silu:
        bound = 1.1 * bound + ROUNDING * 8 * value.abs()
    given = (x, weight, bias, statistics, groups, 1e-6, silu)
    assert_within(ops.group_norm_given_f32(*given), expected, bound)
    assert_within(float_ops.group_norm_given_f32(*given), expected, 16 * bound)


def test_group_norm_keeps_its_digits_over_a_megapixel():
    """A mean far from zero: one chain of float additions would lose the deviation from it."""
    x = (1000 + normal(23, 1, 4, 512, 512)).float()
    exact = torch.nn.functional.group_norm(x.double(), 1, eps=1e-6)
    got = ops.group_norm_f32(x, torch.ones(4), torch.zeros(4), 1, 1e-6, False)
    # x itself is rounded to 2^-15; a mean that is off by as much shifts everything.
    torch.testing.assert_close(got.double(), exact, rtol=0, atol=2**-14)


@pytest.mark.parametrize(("b", "t", "d"), [(2, 256, 384), (3, 5, 1), (2, 7, 15), (1, 4, 16), (2, 9, 33)])
def test_gated_add(isa, b, t, d):
    x, modulation, y = normal(7, b, t, d), normal(8, b, 3 * d), normal(9, b, t, d)
    gate = modulation.double().view(b, 3, 1, d)[:, 2]
    expected = x.double() + gate * y.double()
    # One rounding: the nearest float32.
    assert_within(ops.gated_add(x, modulation, 2, y), expected, ROUNDING * 1.001 * expected.abs())
    torch.testing.assert_close(float_ops.gated_add(x, modulation, 2, y), expected.float(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 100_003])
def test_gelu(isa, count):
    x = torch.cat([normal(10, count, scale=3), torch.linspace(-12, 12, count), torch.logspace(-40, 1, count)])
    exact = x.double()
    u = math.sqrt(2 / math.pi) * (exact + 0.044715 * exact**3)
    expected = exact * torch.sigmoid(2 * u)
    # The exponent has four roundings, of which the result sees exponent * (1 - sigmoid); then exp2, a sum, a quotient.
    bound = ROUNDING * expected.abs() * (4 * (2 * u).abs() * torch.sigmoid(-2 * u) + 5)
    assert_within(ops.gelu_tanh(x), expected, bound)
    torch.testing.assert_close(float_ops.gelu_tanh(x), expected.float(), rtol=1e-5, atol=1e-6)


def test_gelu_at_the_ends(isa):
    x = torch.tensor([math.inf, -math.inf, math.nan, 0.0, 3e38, -3e38, -1e6, -50.0])
    out = ops.gelu_tanh(x)
    assert out[0] == math.inf and out[4] == x[4]
    assert out[1:3].isnan().all()  # minus infinity times zero, as in torch
    assert torch.equal(out.isnan(), float_ops.gelu_tanh(x).isnan())
    assert (out[[3, 5, 6, 7]] == 0).all()


def test_norm_and_gate_propagate(isa):
    for value in (math.nan, math.inf):
        x, modulation = normal(11, 2, 4, 40), normal(12, 2, 120)
        x[1, 2, 39] = value
        out = ops.modulated_norm(x, modulation, 0, 1, 1e-6)
        bad = torch.zeros(2, 4, 40, dtype=torch.bool)
        bad[1, 2] = True
        assert torch.equal(out.isnan(), bad)
        out = ops.gated_add(normal(13, 2, 4, 40), modulation, 2, x)
        assert (~out.isfinite()).nonzero().tolist() == [[1, 2, 39]]


@pytest.mark.parametrize("shape", [(1, 256, 2, 64), (2, 130, 3, 24)], ids=str)
def test_threads_do_not_change_bits(isa, shape):
    """Fewer heads than a thread wants makes the kernel split the queries, too."""
    b, t, heads, d = shape
    qkv, modulation, x = normal(14, b, t, 3 * heads * d), normal(15, b, 6 * heads * d), normal(16, b, t, heads * d)
    runs = [
        lambda n: native.call("attention", (qkv, heads), x.shape, threads=n),
        lambda n: native.call("modulated_norm", (x, modulation, 0, 1, 1e-6), x.shape, threads=n),
        lambda n: native.call("gated_add", (x, modulation, 2, x), x.shape, threads=n),
        lambda n: native.call("gelu_tanh", (qkv,), qkv.shape, threads=n),
    ]
    for run in runs:
        assert torch.equal(run(1), run(2))


def test_empty_batch():
    assert ops.attention(torch.empty(0, 4, 48), 2).shape == (0, 4, 16)
    assert ops.gelu_tanh(torch.empty(0)).shape == (0,)
    assert ops.group_norm_f32(torch.empty(0, 4, 2), torch.ones(4), torch.ones(4), 2, 0.1, True).shape == (0, 4, 2)
    assert ops.gated_add(torch.empty(0, 4, 8), torch.empty(0, 8), 0, torch.empty(0, 4, 8)).shape == (0, 4, 8)


def test_inputs_need_not_be_contiguous():
    qkv = normal(17, 48, 6, 2).permute(2, 1, 0)
    assert torch.equal(ops.attention(qkv, 2), ops.attention(qkv.contiguous(), 2))


X, MODULATION = torch.zeros(2, 3, 16), torch.zeros(2, 48)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.attention(torch.zeros(1, 4, 48), 3), "head_dim 8 to 128"),
        (lambda: ops.attention(torch.zeros(1, 4, 3 * 136), 1), "head_dim 8 to 128"),
        (lambda: ops.attention(torch.zeros(1, 0, 48), 2), "T >= 1"),
        (lambda: ops.attention(torch.zeros(4, 48), 2), "qkv must be float32"),
        (lambda: ops.attention(torch.zeros(1, 4, 48).double(), 2), "qkv must be float32"),
        (lambda: ops.modulated_norm(X, MODULATION, 0, 3, 1e-6), "scale_index must be 0 to 2, got 3"),
        (lambda: ops.modulated_norm(X, MODULATION, -1, 0, 1e-6), "shift_index must be 0 to 2, got -1"),
        (lambda: ops.modulated_norm(X, torch.zeros(2, 50), 0, 1, 1e-6), "multiple of D = 16"),
        (lambda: ops.modulated_norm(X, torch.zeros(1, 48), 0, 1, 1e-6), "modulation must be float32"),
        (lambda: ops.gated_add(X, MODULATION, 0, torch.zeros(2, 3, 17)), "y must be float32"),
        (lambda: ops.gated_add(X, MODULATION, 5, X), "gate_index must be 0 to 2, got 5"),
        (lambda: ops.group_norm_f32(X, torch.ones(3), torch.ones(3), 2, 1e-6, True), "multiple of groups = 2"),
        (lambda: ops.group_norm_f32(X, torch.ones(4), torch.ones(3), 3, 1e-6, True), "weight must be float32"),
        (
            lambda: ops.group_norm_given_f32(X, torch.ones(3), torch.ones(3), torch.ones(3), 3, 1e-6, True),
            "statistics must be float32",
        ),
        (lambda: ops.gelu_tanh(torch.zeros(3, dtype=torch.int32)), "x must be float32"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        (ops.attention, (normal(18, 2, 5, 48), 2)),
        (ops.modulated_norm, (normal(19, 2, 3, 16), normal(20, 2, 48), 0, 2, 1e-6)),
        (ops.gated_add, (normal(21, 2, 3, 16), normal(22, 2, 48), 1, normal(23, 2, 3, 16))),
        (ops.group_norm_f32, (normal(25, 2, 4, 3, 5), normal(26, 4), normal(27, 4), 2, 1e-6, True)),
        (
            ops.group_norm_given_f32,
            (normal(25, 2, 4, 3), normal(26, 4), normal(27, 4), normal(28, 2, 2).abs(), 2, 0.1, True),
        ),
        (ops.gelu_tanh, (normal(24, 2, 3),)),
    ],
    ids=["attention", "modulated_norm", "gated_add", "group_norm", "group_norm_given", "gelu_tanh"],
)
def test_registration(op, arguments):
    """torch's own checks of schema and fake kernel, and the .out overload."""
    torch.library.opcheck(op.default, arguments, test_utils=("test_schema", "test_faketensor"))
    expected = op(*arguments)
    out = torch.empty(0)
    assert op.out(*arguments, out=out) is out
    assert torch.equal(out, expected)
