# SPDX-License-Identifier: Apache-2.0
"""SiT and REPA: before quantization they draw what their papers' equations give with the network of plain_dit.py."""

import plain_dit
import pytest
import torch

from hqdit_mobile.cli.main import export
from hqdit_mobile.diffusion.trajectory import sample_latents
from hqdit_mobile.model.checkpoints import CheckpointError
from hqdit_mobile.model.checkpoints.given import Given
from hqdit_mobile.model.family import FAMILIES
from hqdit_mobile.model.loading import load_model

STATE = plain_dit.random_state(channels=3, out=3)
SIGMA = plain_dit.random_state(channels=3, out=6, patch=4, grid=3, classes=4)
PROJECTORS = {f"projectors.0.{i}.weight": torch.ones(8, 8) for i in (0, 2, 4)}


def load(path, content, **given):
    torch.save(content, path)
    return load_model(str(path), vae="none", given=Given(**({"num_heads": 2} | given)))


def guided(state, x, t, label, scale, channels):
    """Velocity [B, C, S, S] float64 with classifier-free guidance on the first channels; the last row is null."""
    null = torch.full_like(label, len(state["y_embedder.embedding_table.weight"]) - 1)
    t = torch.full((len(x),), t)
    own, without = (plain_dit.forward(state, 2, x, t, y)[:, : x.shape[1]] for y in (label, null))
    mixed = without + scale * (own - without)
    return torch.cat([mixed[:, :channels], own[:, channels:]], dim=1)


def euler(state, x, label, steps, scale, channels, begin, end):
    """x' = v(x, t) from t = begin to end (Ma et al., arXiv 2401.08740, equation 4; REPA's script with begin 1)."""
    x = x.double()
    for i in range(steps):
        t = begin + (end - begin) * i / steps
        x = x + (end - begin) / steps * guided(state, x, t, label, scale, channels)
    return x


def noise(state, count=2):
    grid, patch = int(state["pos_embed"].shape[1] ** 0.5), state["x_embedder.proj.weight"].shape[-1]
    channels = state["x_embedder.proj.weight"].shape[1]
    shape = count, channels, grid * patch, grid * patch
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)), torch.tensor([1, 3])


def assert_draws(model, state, channels, begin, end):
    x, label = noise(state)
    got = sample_latents(model.dit, model.process, x, label, 8, 3.0)
    expected = euler(state, x, label, 8, 3.0, channels, begin, end)
    assert expected.std() > 0.1
    torch.testing.assert_close(got.double(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("state", [STATE, SIGMA], ids=["velocity", "velocity and sigma"])
def test_sit(state, tmp_path):
    classes = len(state["y_embedder.embedding_table.weight"]) - 1
    model = load(tmp_path / "a.pt", {"ema": state, "args": {"path_type": "Linear", "prediction": "velocity"}},
                 num_classes=classes)  # fmt: skip
    assert_draws(model, state, 3, 0.0, 1.0)
    assert "family sit, by its argument 'path_type'" in model.notes


def test_repa(tmp_path):
    state = plain_dit.random_state(channels=4, out=4)
    run = {"model": "SiT-B/2", "path_type": "linear", "prediction": "v", "enc_type": "dinov2-vit-b", "num_classes": 10,
           "num_heads": 2}  # fmt: skip
    torch.save({"ema": state | PROJECTORS, "args": run}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="draw 3 channels, not 4"):
        load_model(str(tmp_path / "a.pt"), vae="none")
    state = plain_dit.random_state(channels=3, out=3)
    model = load(tmp_path / "b.pt", {"ema": state | PROJECTORS, "args": run}, num_heads=None)
    assert model.process.guided_channels == 3
    assert_draws(model, state, 3, 1.0, 0.0)
    assert any("left out 3 tensors of REPA's projectors" in note for note in model.notes)


def test_the_option_names_every_family():
    """It is written twice, because the command line does not load torch."""
    (option,) = (parameter for parameter in export.params if parameter.name == "family")
    assert list(option.type.choices) == list(FAMILIES)


def test_the_user_may_say_it(tmp_path):
    model = load(tmp_path / "a.pt", STATE, family="sit", num_classes=10)
    assert_draws(model, STATE, 3, 0.0, 1.0)
    assert "taken as published SIT: path linear, prediction velocity" in model.notes


@pytest.mark.parametrize(("path", "prediction"), [("VP", "velocity"), ("Linear", "x"), (3, "velocity")])
def test_other_processes_are_refused(path, prediction, tmp_path):
    with pytest.raises(CheckpointError, match="the file's arguments say"):
        load(tmp_path / "a.pt", {"ema": STATE, "args": {"path_type": path, "prediction": prediction}}, num_classes=10)
