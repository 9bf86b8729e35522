# SPDX-License-Identifier: Apache-2.0
"""Hadamard matrices against their defining properties, rotate() against the matrix product."""

import pytest
import torch

from hqdit_mobile.ops.hadamard_orders import split_order
from hqdit_mobile.ops.rotation import hadamard, random_signs, rotate, usable_rotation

ORDERS = [1, 2, 4, 16, 32, 128, 12, 24, 28, 36, 56, 72, 384, 1152]


@pytest.mark.parametrize("order", ORDERS)
def test_hadamard_is_orthogonal_symmetric_and_pm_one(order):
    h = hadamard(order).long()
    assert set(h.unique().tolist()) <= {-1, 1}
    assert torch.equal((h.double() @ h.double().t()).long(), order * torch.eye(order, dtype=torch.long))
    assert torch.equal(h, h.t())


def test_power_of_two_is_sylvesters():
    expected = [[(-1) ** bin(i & j).count("1") for j in range(16)] for i in range(16)]
    assert hadamard(16).tolist() == expected


@pytest.mark.parametrize(("order", "q"), [(12, 5), (28, 13), (36, 17)])
def test_paley_blocks_follow_the_quadratic_character(order, q):
    h = hadamard(order)
    one = torch.tensor([[1, 1], [1, -1]], dtype=torch.int8)
    zero = torch.tensor([[1, -1], [-1, -1]], dtype=torch.int8)
    for i in range(q + 1):
        for j in range(q + 1):
            block = h[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            if i == j:
                assert torch.equal(block, zero)
            elif i == 0 or j == 0:
                assert torch.equal(block, one)
            else:
                euler = pow(i - j, (q - 1) // 2, q)  # Euler's criterion: 1 for residues, q - 1 for the others
                assert torch.equal(block, one if euler == 1 else -one)


@pytest.mark.parametrize("order", [1, 2, 32, 12, 96, 28, 36, 72])
def test_rotate_is_the_block_product(order):
    x = torch.randn(3, 5, 2 * order, generator=torch.Generator().manual_seed(order))
    expected = (x.double().view(3, 5, 2, order) @ hadamard(order).double()).view(3, 5, -1)
    torch.testing.assert_close(rotate(x, order).double(), expected, rtol=1e-5, atol=1e-4)
    exact = torch.randint(-8, 8, (4, 2 * order)).double()
    assert torch.equal(rotate(exact, order), (exact.view(4, 2, order) @ hadamard(order).double()).view(4, -1))


def test_rotate_sums_in_the_documented_order():
    """float32 rounding depends on the order; a scalar loop written from the page is the reference."""
    x = torch.randn(24, generator=torch.Generator().manual_seed(0)) * 1000.1
    v = [torch.tensor(value) for value in x.tolist()]
    for start in range(0, 24, 2):  # order 24 = 12 * 2: one butterfly, then H_12 from left to right
        v[start], v[start + 1] = v[start] + v[start + 1], v[start] - v[start + 1]
    h12 = hadamard(12)
    expected = torch.empty(24)
    for i in range(12):
        for j in range(2):
            total = int(h12[i, 0]) * v[j]
            for m in range(1, 12):
                total = total + int(h12[i, m]) * v[2 * m + j]
            expected[2 * i + j] = total
    assert torch.equal(rotate(x, 24), expected)


def test_orders_without_a_matrix_are_refused():
    for order in (0, 3, 20, 44, 100):
        with pytest.raises(ValueError, match="rotation"):
            split_order(order)
    with pytest.raises(ValueError, match="does not divide"):
        rotate(torch.zeros(48), 32)


@pytest.mark.parametrize(
    ("features", "wanted", "expected"),
    [
        (384, 32, 32), (1152, 128, 128), (48, 32, 16), (50, 32, 2), (17, 32, 1), (384, 1, 1),
        (384, "full", 384), (1536, "full", 1536), (1152, "full", 1152), (4608, "full", 4608), (768, "full", 768),
        (256, "full", 256), (400, "full", 16),
    ],
)  # fmt: skip
def test_usable_rotation(features, wanted, expected):
    assert usable_rotation(features, wanted) == expected


def test_signs_are_seeded_and_balanced():
    signs = random_signs(4096, 7)
    assert torch.equal(signs, random_signs(4096, 7)) and not torch.equal(signs, random_signs(4096, 8))
    assert set(signs.tolist()) == {-1.0, 1.0} and abs(signs.mean()) < 0.1
