# SPDX-License-Identifier: Apache-2.0
"""Rounding again after GPTQ: every row's error in float64, from the look-up tables alone, before and after."""

from dataclasses import replace

import pytest
import torch
from gptq_cases import correlated_hessian, random_weight, values

from hqdit_mobile.ops.formats import E1M2, E2M1, E3M0
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.quantize.coordinate_descent import descend
from hqdit_mobile.quantize.gptq import QuantizedWeight, gptq

BOTH = (E2M1, E1M2)


def row_losses(weight, quantized, hessian, size):
    difference = weight - values(quantized, size, weight.shape[1])
    return ((difference @ hessian) * difference).sum(dim=1)


@pytest.mark.parametrize(
    ("n", "k", "group", "formats"),
    [(48, 128, 16, BOTH), (17, 96, 32, BOTH), (8, 40, 16, BOTH), (5, 24, 4096, BOTH), (6, 64, 16, (E3M0,))],
)
def test_no_row_gets_worse(n, k, group, formats):
    hessian, weight = correlated_hessian(k, 1), random_weight(n, k, 2)
    size, quantized = min(group, k), gptq(weight, hessian, formats, group)
    for _ in range(3):
        before = row_losses(weight, quantized, hessian, size)
        quantized = descend(weight, hessian, formats, group, quantized)
        assert quantized.codes.shape == (n, k) and quantized.tables.shape == (n, -(-k // size))
        assert (row_losses(weight, quantized, hessian, size) <= before * (1 + 1e-5)).all()


def test_two_passes_take_a_twentieth_of_the_error():
    hessian, weight = correlated_hessian(256, 3), random_weight(64, 256, 4)
    start = gptq(weight, hessian, BOTH, 16)
    improved = descend(weight, hessian, BOTH, 16, descend(weight, hessian, BOTH, 16, start))
    losses = [row_losses(weight, quantized, hessian, 16).sum() for quantized in (start, improved)]
    assert losses[1] < 0.95 * losses[0]


def test_a_group_goes_to_the_best_values_that_the_others_leave_it():
    """Where the lattice can hold a row exactly but its first group is wrong, that group becomes right."""
    generator = torch.Generator().manual_seed(6)
    codes = torch.randint(0, 16, (4, 32), generator=generator, dtype=torch.uint8)
    codes[:, ::16] = 7  # the table's largest value, so that its multiplier is the one that the group needs
    exact = QuantizedWeight(codes, torch.full((4, 2), 2, dtype=torch.uint8), torch.linspace(0.5, 2.0, 4))
    weight, hessian = values(exact, 16, 32), correlated_hessian(32, 5)
    wrong = replace(exact, codes=torch.cat([torch.zeros_like(codes[:, :16]), codes[:, 16:]], dim=1))
    assert (row_losses(weight, wrong, hessian, 16) > 0).all()
    found = values(descend(weight, hessian, BOTH, 16, wrong), 16, 32)
    torch.testing.assert_close(found, weight, rtol=1e-6, atol=0)


def test_one_table_a_channel_takes_no_passes():
    with pytest.raises(ValueError, match=r"sweeps must be 0 with group .channel., not 2"):
        HQDiTConfig(group="channel")
