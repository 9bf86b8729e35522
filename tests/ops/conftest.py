# SPDX-License-Identifier: Apache-2.0
import pytest
from kernel_cases import ISAS

from hqdit_mobile.ops import native


@pytest.fixture(params=ISAS)
def isa(request):
    """Each instruction set in turn; the one that was in use again afterwards."""
    library, available = native.library(), native.available_isas()
    if request.param not in available:
        pytest.skip(f"this processor has no {request.param}, only {', '.join(available)}")
    before = library.hqdit_isa()
    assert library.hqdit_use_isa(request.param.encode())
    yield request.param
    assert library.hqdit_use_isa(before)
