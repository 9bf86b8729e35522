# SPDX-License-Identifier: Apache-2.0
import pytest
from kernel_cases import ISAS

from hqdit_mobile.ops import native


@pytest.fixture(params=ISAS)
def isa(request):
    """Each instruction set in turn; the one that was in use again afterwards."""
    available = native.available_isas()
    if request.param not in available:
        pytest.skip(f"this processor has no {request.param}, only {', '.join(available)}")
    before = native.library().hqdit_isa().decode()
    native.use_isa(request.param)
    yield request.param
    native.use_isa(before)
