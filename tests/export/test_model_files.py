# SPDX-License-Identifier: Apache-2.0
"""Writing a bundle's networks: what is in memory meanwhile."""

import gc
import weakref

import pytest
import torch
from onnx_cases import small_model

from hqdit_mobile.export.bundle import model_files
from hqdit_mobile.export.bundle.model_files import write_model_files

pytestmark = pytest.mark.slow


@pytest.fixture
def no_collector():
    """Python's own collector comes when it likes; what has to be gone at a certain point must not wait for it."""
    gc.disable()
    yield
    gc.enable()


def test_a_program_is_gone_before_the_next_is_made(tmp_path, monkeypatch, no_collector):
    """Lowering takes several times the weights: of a large model, gigabytes."""
    model, lower = small_model(), model_files.lower
    graphs: list[weakref.ref] = []

    def recording(methods, *arguments):
        assert not any(graph() for graph in graphs), "the program before is still in memory"
        lowered = lower(methods, *arguments)
        graphs.extend(weakref.ref(lowered.program.exported_program(name).graph_module) for name in methods)
        return lowered

    monkeypatch.setattr(model_files, "lower", recording)
    write_model_files("executorch", model, tmp_path, torch.zeros(1, *model.latent_shape))
    assert len(graphs) >= 3
    assert not any(graph() for graph in graphs)
