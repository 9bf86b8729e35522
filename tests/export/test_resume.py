# SPDX-License-Identifier: Apache-2.0
"""An export that is killed goes on from its last finished block and writes the same bytes."""

import itertools
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DiTTransformer2DModel
from killed_export import CONFIG, FILE, LAYER, export_counting, options

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
MEASURED = ("export_seconds", "export_peak_bytes", "memory")


@pytest.fixture(scope="module")
def odd_model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    torch.manual_seed(0)
    dit = DiTTransformer2DModel(**ODD)
    for parameter in dit.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    dit.save_pretrained(folder / "transformer")
    vae = AutoencoderKL(block_out_channels=(32,), latent_channels=4)  # one block: each one takes seconds to lower
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
    """All that does not depend on the time and memory that the export took; some of the documents tell of those."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    for key in MEASURED:
        manifest.pop(key)
    files = {path.name: path.read_bytes() for path in bundle.iterdir() if path.suffix in (".pte", ".png")}
    assert len(files) == 3
    return {"manifest": manifest, "documents": sorted(manifest.pop("documents"))} | files


@pytest.fixture(scope="module")
def uninterrupted(odd_model, tmp_path_factory) -> tuple[Path, list[str]]:
    """The bundle, and what the events were."""
    output = tmp_path_factory.mktemp("whole") / "bundle"
    return output, export_counting(odd_model, output)


def test_kill_9_and_resume_give_the_same_bytes(odd_model, uninterrupted, tmp_path):
    whole, events = uninterrupted
    output, draw, finished = tmp_path / "bundle", random.Random(1), {}
    # The identity and the calibration set; the tokens, what the context needs and a block, which ends with its tokens
    # and itself; the other block; the layers outside.
    runs = [(event, len(list(run))) for event, run in itertools.groupby(events)]
    assert [event for event, _ in runs] == [FILE, LAYER, FILE, LAYER, FILE, LAYER]
    ready, with_block, stored, layers, stored_again, outside = (count for _, count in runs)
    assert ready == stored == stored_again == 2 and layers >= 8, "both batches of four layers"
    of_block, before_blocks = layers + stored, with_block - layers
    first, second = (before_blocks + count * of_block for count in (1, 2))
    again = first - 2  # both batches of tokens are there when the first block is
    # Somewhere up to the end of the first block, in the second one, and there again before it is done.
    for event in (draw.randint(1, ready + first), draw.randint(ready + first + 1, second), draw.randint(1, again)):
        run_killed(odd_model, output, event)
        assert parts(output).items() >= finished.items(), "a finished part was lost or written again"
        finished = parts(output)
    assert finished.keys() == {"calibration.safetensors", "block-0.safetensors"}
    left = export_counting(odd_model, output)
    assert len(left) == again + outside, "the second block and the layers outside, no more"
    assert content(output) == content(whole)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"], "leftovers beside the bundle"


def test_odd_sizes_export(uninterrupted):
    """Hidden 16, heads of 8, patches of 4, latents of 16, 9 classes: everything becomes FP4 and the parity holds."""
    bundle, _ = uninterrupted
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
