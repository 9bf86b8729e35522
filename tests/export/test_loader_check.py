# SPDX-License-Identifier: Apache-2.0
"""The export compares its float network with diffusers' own, and sees what the loader did wrong."""

from dataclasses import replace

import pytest
import torch
from checkpoint_folders import tiny_folder
from diffusers import DiTTransformer2DModel

from hqdit_mobile.export.bundle.loader_check import check_loader
from hqdit_mobile.export.bundle.parity import ParityError, ParityReport
from hqdit_mobile.model.checkpoints.build import dit_from_state
from hqdit_mobile.model.loading import load_model


@pytest.fixture
def folder(tmp_path):
    """With embedders of every block, as after training in diffusers."""
    tiny_folder(tmp_path)
    transformer = DiTTransformer2DModel.from_pretrained(tmp_path / "transformer")
    generator = torch.Generator().manual_seed(2)
    for parameter in transformer.transformer_blocks[1].norm1.emb.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    transformer.save_pretrained(tmp_path / "transformer")
    return tmp_path


def test_a_right_loader_passes(folder):
    model = load_model(str(folder), streamed=True)
    model.dit.drop_learned_sigma_()
    checks = check_loader(model, 4.0)
    assert len(checks) == 2 and all(check.passed and check.db > 100 for check in checks)


def test_one_block_s_embedders_for_all_are_seen(folder):
    model = load_model(str(folder))
    model.dit = dit_from_state(replace(model.dit.config, block_embedders=False), model.dit.state_dict())
    report = ParityReport("torch", check_loader(model, 4.0))
    assert report.worst("loader").db < 60
    with pytest.raises(ParityError, match="loader t="):
        report.require("the loader")


def test_other_sources_have_no_such_check():
    assert check_loader(load_model("random:DiT-S/8-256", streamed=True), 4.0) == []
