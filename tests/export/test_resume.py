# SPDX-License-Identifier: Apache-2.0
"""An export that is killed goes on from its last finished block and writes the same bytes."""

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DiTTransformer2DModel
from killed_export import CONFIG, export_counting, options

from hqdit_mobile.export.bundle.job import export_bundle
from hqdit_mobile.export.bundle.resume import work_path
from hqdit_mobile.util.progress import Stages
from hqdit_mobile.util.resume_store import WorkFolder, WorkFolderError

pytestmark = pytest.mark.slow

DRIVER = Path(__file__).parents[1] / "killed_export.py"
# The sizes of diffusers' own tests of its DiT, with an odd number of classes.
ODD = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 2, "sample_size": 16, "patch_size": 4}
ODD |= {"in_channels": 4, "out_channels": 8, "attention_bias": True, "num_embeds_ada_norm": 9}
ODD |= {"activation_fn": "gelu-approximate"}
MEASURED = ("export_seconds", "export_peak_bytes")


@pytest.fixture(scope="module")
def odd_model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    torch.manual_seed(0)
    dit = DiTTransformer2DModel(**ODD)
    for parameter in dit.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    dit.save_pretrained(folder / "transformer")
    vae = AutoencoderKL(block_out_channels=(32, 32), down_block_types=("DownEncoderBlock2D",) * 2,
                        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4)  # fmt: skip
    vae.save_pretrained(folder / "vae")
    (folder / "scheduler").mkdir()
    (folder / "scheduler/scheduler_config.json").write_text('{"_class_name": "PNDMScheduler"}')
    (folder / "model_index.json").write_text("{}")
    return folder


def run_killed(model: Path, output: Path, event: int) -> None:
    command = [sys.executable, DRIVER, model, output, str(event), str(torch.get_num_threads())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -9, (event, done.stderr)
    assert not output.exists()


def parts(output: Path) -> dict[str, int]:
    """What is finished, and when it was."""
    return {path.name: path.stat().st_mtime_ns for path in work_path(output).glob("*.safetensors")}


def content(bundle: Path) -> dict:
    manifest = json.loads((bundle / "manifest.json").read_text())
    for key in MEASURED:
        manifest.pop(key)
    files = {path.name: path.read_bytes() for path in bundle.glob("*.pte")}
    assert len(files) == 2
    return {"manifest": manifest} | files


@pytest.fixture(scope="module")
def uninterrupted(odd_model, tmp_path_factory) -> tuple[Path, int]:
    output = tmp_path_factory.mktemp("whole") / "bundle"
    return output, export_counting(odd_model, output)


def test_kill_9_and_resume_give_the_same_bytes(odd_model, uninterrupted, tmp_path):
    whole, events = uninterrupted
    output, draw, finished = tmp_path / "bundle", random.Random(1), {}
    # Besides: the identity, the calibration set; outside of blocks a layer, and two batches of another.
    of_block = (events - 5) // 2
    # Somewhere up to the end of the first block, in the second one, and there again before it is done.
    for event in (draw.randint(1, of_block + 2), draw.randint(of_block + 3, 2 * of_block), draw.randint(1, of_block)):
        run_killed(odd_model, output, event)
        assert parts(output).items() >= finished.items(), "a finished part was lost or written again"
        finished = parts(output)
    assert finished.keys() == {"calibration.safetensors", "block-0.safetensors"}
    assert export_counting(odd_model, output) == of_block + 3, "the second block and the layers outside, no more"
    assert content(output) == content(whole)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"], "leftovers beside the bundle"


def test_odd_sizes_export(odd_model, tmp_path):
    """Hidden 16, heads of 8, patches of 4, latents of 16, 9 classes: everything becomes FP4 and the parity holds."""
    bundle = export_bundle(options(odd_model, tmp_path / "bundle"), Stages())
    assert json.loads((bundle / "parity.json").read_text())["passed"]
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["model"]["num_classes"] == 9 and not manifest["source"]["random_weights"]
    assert manifest["export_seconds"] > 0 and manifest["export_peak_bytes"] > 2e8


def test_a_stale_state_is_refused_and_says_how_to_get_rid_of_it(odd_model, tmp_path):
    output = tmp_path / "bundle"
    run_killed(odd_model, output, 12)
    for changes, named in (({"seed": 3}, r"config\.seed"), ({"damping": 0.5}, r"config\.damping")):
        with pytest.raises(WorkFolderError, match=f"differs in {named}: repeat .* or delete that folder"):
            export_bundle(options(odd_model, output, replace(CONFIG, **changes)), Stages())
    assert work_path(output).is_dir() and not output.exists()


def test_two_exports_do_not_share_a_folder(tmp_path):
    with WorkFolder(tmp_path / "x.work", {"seed": 1}), pytest.raises(WorkFolderError, match="in use"):
        WorkFolder(tmp_path / "x.work", {"seed": 1})


def test_a_work_folder_goes_when_the_work_is_done_or_nothing_was(tmp_path):
    path = tmp_path / "x.work"
    with WorkFolder(path) as work:
        work.put("a", {"x": torch.ones(2)}, {"n": 1})
        tensors, about = work.get("a")
        assert torch.equal(tensors["x"], torch.ones(2)) and about == {"n": 1} and work.get("b") is None
    assert not path.exists()
    with pytest.raises(KeyboardInterrupt), WorkFolder(path):
        raise KeyboardInterrupt
    assert not path.exists()
    with pytest.raises(KeyboardInterrupt), WorkFolder(path) as work:
        work.put("a", {"x": torch.ones(2)}, None)
        raise KeyboardInterrupt
    assert (path / "a.safetensors").is_file()
    with WorkFolder(path) as work:
        assert work.get("a") is not None


def test_lost_tokens_are_noticed(tmp_path):
    with WorkFolder(tmp_path / "x.work") as work:
        work.array("tokens", (2, 3), new=True)[:] = 7.0
        assert (work.array("tokens", (2, 3), new=False) == 7.0).all()
        with pytest.raises(WorkFolderError, match="cut short"):
            work.array("tokens", (2, 4), new=False)
        with pytest.raises(WorkFolderError, match="missing"):
            work.array("others", (2, 3), new=False)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "photos.safetensors").write_bytes(b"mine")
    with pytest.raises(WorkFolderError, match=r"no identity\.json but photos"):
        WorkFolder(tmp_path, {"seed": 1})
    assert (tmp_path / "photos.safetensors").read_bytes() == b"mine"
