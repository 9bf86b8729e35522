# SPDX-License-Identifier: Apache-2.0
"""Grids and tables against the bit patterns of the formats; packing against the index formula of docs/fp4-linear.md."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hqdit_mobile.ops.formats import E1M2, E2M1, E3M0, FORMATS, NUM_TABLES, lookup_tables, nearest_codes, round_to_grid
from hqdit_mobile.ops.packing import pack_codes, pack_tables, unpack_codes, unpack_tables


def decode(bits: int, exponent_bits: int, mantissa_bits: int) -> float:
    """Value of 3 magnitude bits by the rule of every small float: exponent 0 is subnormal, no infinities."""
    exponent, mantissa = bits >> mantissa_bits, bits & ((1 << mantissa_bits) - 1)
    bias = 2 ** (exponent_bits - 1) - 1
    if exponent == 0:
        return mantissa / 2**mantissa_bits * 2.0 ** (1 - bias)
    return (1 + mantissa / 2**mantissa_bits) * 2.0 ** (exponent - bias)


@pytest.mark.parametrize(("format", "e", "m"), [(E2M1, 2, 1), (E1M2, 1, 2), (E3M0, 3, 0)])
def test_grid_is_the_float_format_up_to_a_power_of_two(format, e, m):
    values = [decode(bits, e, m) for bits in range(8)]
    ratios = {g / v for g, v in zip(format.grid, values, strict=True) if v}
    assert len(ratios) == 1 and ratios.pop() in (1.0, 2.0, 4.0, 8.0)


def test_lookup_tables_are_multiplier_times_grid():
    tables = lookup_tables()
    assert tables.shape == (NUM_TABLES, 16) and tables.dtype == torch.int8
    for format in FORMATS.values():
        for multiplier in range(1, format.multipliers + 1):
            for code in range(16):
                expected = (-1 if code & 8 else 1) * multiplier * format.grid[code & 7]
                assert tables[format.first_id + multiplier - 1, code] == expected
                assert -127 <= expected <= 127
    assert sum(f.multipliers for f in FORMATS.values()) == NUM_TABLES


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda f: f.name)
def test_rounding_is_nearest_with_ties_away_from_zero(format):
    x = torch.cat([torch.linspace(-1.2, 1.2, 4001) * format.max, torch.tensor(format.midpoints), torch.zeros(1)])
    grid = torch.tensor(format.grid, dtype=torch.float64)
    distance = (x.double().abs()[:, None] - grid).abs()
    # Of two equal distances the larger grid value wins: search from the top.
    expected = grid[7 - distance.flip(1).argmin(dim=1)] * x.double().sign()
    assert torch.equal(round_to_grid(x, format).double() + 0.0, expected + 0.0)
    codes = nearest_codes(x, format).long()
    assert torch.equal(lookup_tables()[format.first_id][codes].double(), expected + 0.0)
    assert not (codes == 8).any()


@given(st.integers(1, 40), st.integers(1, 70), st.integers(0, 2**31))
def test_codes_lie_where_the_layout_says(n, k, seed):
    codes = torch.randint(0, 16, (n, k), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    packed = pack_codes(codes)
    assert packed.shape == ((n + 15) // 16, (k + 31) // 32, 16, 16)
    for row, column in [(0, 0), (n - 1, k - 1), (n // 2, k // 3)]:
        byte = int(packed[row // 16, column // 32, row % 16, column % 16])
        assert (byte >> 4 if column % 32 >= 16 else byte & 15) == codes[row, column]
    assert torch.equal(unpack_codes(packed, n, k), codes)
    whole = unpack_codes(packed, packed.shape[0] * 16, packed.shape[1] * 32)
    assert whole[n:].sum() == 0 and whole[:, k:].sum() == 0


@given(st.integers(1, 40), st.integers(1, 9))
def test_tables_lie_where_the_layout_says(n, groups):
    ids = torch.randint(0, NUM_TABLES, (n, groups), dtype=torch.uint8)
    packed = pack_tables(ids)
    assert packed.shape == ((n + 15) // 16, groups, 16)
    assert packed[(n - 1) // 16, groups - 1, (n - 1) % 16] == ids[n - 1, groups - 1]
    assert torch.equal(unpack_tables(packed, n), ids)


def test_packing_refuses_what_is_not_a_code():
    with pytest.raises(ValueError, match="4 bits"):
        pack_codes(torch.full((2, 2), 16, dtype=torch.uint8))
    with pytest.raises(ValueError, match="uint8"):
        pack_codes(torch.zeros(2, 2))
