# SPDX-License-Identifier: Apache-2.0
"""A candidate in torch is computed in our operators on every device, int8 attention included."""

from types import SimpleNamespace

import torch
from tiny_dit import TINY, tiny_config, tiny_dit
from torch import nn

from hqdit_mobile.bench.round_to_nearest import round_model_
from hqdit_mobile.evaluate.subjects import TorchSubject
from hqdit_mobile.model.arithmetic import FUSED
from hqdit_mobile.ops import native
from hqdit_mobile.ops.operator import OPERATORS
from hqdit_mobile.util.metrics import snr_db


def subject(device: str) -> TorchSubject:
    dit = tiny_dit()
    # Gates of a new model are zero, and no attention reaches its output.
    for parameter in dit.parameters():
        parameter.normal_(std=0.1)
    model = SimpleNamespace(vae=nn.Linear(1, 1, device=device))
    return TorchSubject(model, round_model_(dit, tiny_config()), 1, 1.0)


def test_definitions_and_kernels_compute_the_same_step(monkeypatch):
    torch.manual_seed(1)
    inputs = torch.randn(TINY.in_channels, TINY.sample_size, TINY.sample_size), 500.0, 3
    on_cpu, called = subject("cpu"), []
    by_kernels = on_cpu.noise(*inputs)

    def by_definition(name, arguments, shape):
        called.append(name)
        return OPERATORS[name].definition(*arguments)

    monkeypatch.setattr(native, "call", by_definition)
    assert snr_db(by_kernels, on_cpu.noise(*inputs)) > 80
    assert {"fp4_linear", "attention_int8"} <= set(called)


def test_another_device_gets_the_same_operators():
    """As on a GPU, which this test does not need: nothing is computed on the meta device."""
    assert subject("meta").network.ops is FUSED
