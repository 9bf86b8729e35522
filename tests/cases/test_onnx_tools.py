# SPDX-License-Identifier: Apache-2.0
"""F22: what docs/onnx.md says of other people's tools, on a portable file: those that work compute the same without our
kernels, those that fail say so. The right value is what the file itself computes before the tool."""

import onnx
import pytest
import torch
from onnx import version_converter
from onnx.inliner import inline_local_functions
from onnx_cases import CLASSES, run, small_dit
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from hqdit_mobile.export.lowering.onnx.lower import OPSET, transformer_to_onnx
from hqdit_mobile.util.metrics import snr_db


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return transformer_to_onnx(small_dit())


def noise(model: onnx.ModelProto) -> torch.Tensor:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    return run(model, False, latents=latents, timestep=torch.tensor([321.0]), labels=torch.tensor([2, CLASSES]))


@pytest.mark.slow
def test_inlining_comes_before_other_tools(model):
    with pytest.raises(Fail, match="hqdit:.* is not a registered function"):
        noise(version_converter.convert_version(model, OPSET + 1))
    inlined = inline_local_functions(model)
    assert not inlined.functions and not any(node.domain == "hqdit" for node in inlined.graph.node)
    converted = version_converter.convert_version(inlined, OPSET + 1)
    assert next(o.version for o in converted.opset_import if o.domain == "") == OPSET + 1
    expected = noise(model)
    for changed in (inlined, converted):
        assert snr_db(expected, noise(changed)) > 120
