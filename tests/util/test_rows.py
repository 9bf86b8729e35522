# SPDX-License-Identifier: Apache-2.0
"""by_rows gives what its function gives for the whole matrix."""

import pytest
import torch

from hqdit_mobile.util.rows import CHUNK, by_rows


@pytest.mark.parametrize("shape", [(1, 5), (7, CHUNK // 3), (3, 2 * CHUNK), (CHUNK + 1, 1), (40, 8, 500), (0, 4)])
def test_rows_come_back_in_order(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    offset = torch.arange(float(shape[0]))
    calls = []

    def function(rows, offset):
        calls.append(len(rows))
        return rows.flatten(1).amax(dim=1) + offset

    assert torch.equal(by_rows(function, x, offset), x.flatten(1).amax(dim=1) + offset)
    assert sum(calls) == shape[0] and (len(calls) > 1) == (x.numel() > CHUNK)


def test_an_error_in_a_run_arrives():
    with pytest.raises(ZeroDivisionError):
        by_rows(lambda rows: 1 / 0, torch.zeros(3, CHUNK))
