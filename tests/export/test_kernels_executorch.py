# SPDX-License-Identifier: Apache-2.0
"""hqdit::fp4_linear.out and hqdit::fp4_linear_gelu.out inside the ExecuTorch runtime."""

import pytest
import torch
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from executorch.runtime import Runtime
from torch import nn

from hqdit_mobile.ops import native
from hqdit_mobile.ops.fp4_linear import FP4Linear


def layer_with(**settings) -> FP4Linear:
    generator = torch.Generator().manual_seed(0)
    layer = FP4Linear(96, 40, group=32, **settings)
    layer.codes = torch.randint(0, 256, layer.codes.shape, generator=generator, dtype=torch.uint8)
    layer.tables = torch.randint(0, 29, layer.tables.shape, generator=generator, dtype=torch.uint8)
    layer.scale = torch.rand(40, generator=generator)
    return layer


class Method:
    """A layer in the runtime. Keeps the file's bytes: the runtime reads the weights where they lie."""

    def __init__(self, layer: nn.Module, x: torch.Tensor) -> None:
        lowered = to_edge_transform_and_lower(
            torch.export.export(layer, (x,)), compile_config=EdgeCompileConfig(_check_ir_validity=False)
        )
        self.file = lowered.to_executorch().buffer
        native.library()
        self.program = Runtime.get().load_program(self.file)
        self.method = self.program.load_method("forward")

    def execute(self, x: torch.Tensor) -> torch.Tensor:
        return self.method.execute([x])[0]


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((3, 96), {"activation": "int8", "rotation": 32, "pre": True}),
        ((2, 7, 96), {"activation": "fp4", "bias": False}),
        ((3, 96), {"activation": "e2m1", "rotation": 96, "activation_group": 96}),
    ],
)
def test_the_runtime_gives_the_bits_of_torch(shape, settings):
    layer = layer_with(**settings)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    out = Method(layer, x).execute(x)
    expected = layer(x)
    assert out.shape == expected.shape
    assert torch.equal(out.view(torch.int32), expected.view(torch.int32))


class WithGelu(nn.Module):
    def __init__(self, layer: FP4Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x, gelu=True)


@pytest.mark.parametrize("shape", [(1, 96), (2, 7, 96)])
def test_gelu_gives_the_bits_of_two_operators(shape):
    layer = layer_with(activation="int8", rotation=32, pre=True)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    out = Method(WithGelu(layer), x).execute(x)
    expected = torch.ops.hqdit.gelu_tanh(layer(x))
    assert out.shape == expected.shape and torch.equal(out, expected)


def test_gelu_is_named_when_it_fails(capfd):
    layer = layer_with()
    layer.scale = torch.rand(39)
    x = torch.randn(3, 96)
    method = Method(WithGelu(layer), x)
    with pytest.raises(RuntimeError):
        method.execute(x)
    written = capfd.readouterr()
    assert "hqdit::fp4_linear_gelu.out: scale has 39 elements, but this layer needs 40" in written.out + written.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rotation": 20}, "hqdit::fp4_linear.out: rotation must be"),
        ({"activation": "int3"}, "hqdit::fp4_linear.out: activation must be int8, fp4 or e2m1, but is 'int3'"),
        ({"scale": torch.rand(39)}, "hqdit::fp4_linear.out: scale has 39 elements, but this layer needs 40"),
        ({"codes": torch.zeros(9, dtype=torch.uint8)}, "hqdit::fp4_linear.out: codes has 9 elements"),
        ({"bias": torch.zeros(40, dtype=torch.float64)}, "hqdit::fp4_linear.out: bias must be of type float32"),
    ],
)
def test_a_damaged_program_fails_with_a_reason(change, message, capfd):
    layer = layer_with()
    for name, value in change.items():
        setattr(layer, name, value)
    x = torch.randn(3, 96)
    method = Method(layer, x)
    with pytest.raises(RuntimeError):
        method.execute(x)
    written = capfd.readouterr()
    assert message in written.out + written.err
    assert "export the model again" in written.out + written.err
