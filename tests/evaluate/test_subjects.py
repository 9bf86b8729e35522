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
    model = SimpleNamespace(dit=nn.Linear(1, 1, device=device))
    return TorchSubject(model, round_model_(dit, tiny_config()), 1, 1.0)


def test_definitions_and_kernels_compute_the_same_step(monkeypatch):
    torch.manual_seed(1)
    on_cpu, called = subject("cpu"), []
    latents = torch.randn(5, TINY.in_channels, TINY.sample_size, TINY.sample_size)
    by_kernels = [on_cpu.noise(one, 500.0, 3) for one in latents]

    def by_definition(name, arguments, shape):
        called.append(name)
        return OPERATORS[name].definition(*arguments)

    monkeypatch.setattr(native, "call", by_definition)
    agreement = [snr_db(kernels, on_cpu.noise(one, 500.0, 3)) for one, kernels in zip(latents, by_kernels, strict=True)]
    # A last bit may put a value that lies between two codes of int8 on the other one: 60 dB then, in few inputs.
    assert sorted(agreement)[2] > 120 and min(agreement) > 50, agreement
    assert {"fp4_linear", "attention_int8"} <= set(called)


def test_another_device_gets_the_same_operators():
    """As on a GPU, which this test does not need: nothing is computed on the meta device."""
    assert subject("meta").network.ops is FUSED
