# SPDX-License-Identifier: Apache-2.0
"""Models that someone made to harm: each ends in one line and exit code 2, soon, and nothing in them is run."""

import json
import os
import pickle
import shutil
import struct
import time
import zipfile

import pytest
import torch
from checkpoint_folders import tiny_folder

from hqdit_mobile.cli.exits import exits
from hqdit_mobile.model.loading import load_model
from hqdit_mobile.model.random_model import FORMS

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
CONFIG, INDEX = "transformer/config.json", "model_index.json"
SCHEDULER, VAE = "scheduler/scheduler_config.json", "vae/config.json"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good") / "model"
    tiny_folder(folder)
    return folder


class Command:
    """Pickled, it runs a command when it is read."""

    def __reduce__(self):
        return os.system, ("touch harmed",)


def pickled(content) -> bytes:
    return pickle.dumps(content, protocol=2)


def doubled(levels: int) -> bytes:
    """A list that holds a list twice, which holds one twice, and so on: in a file each is written once."""
    lists: list = []
    for _ in range(levels):
        lists = [lists, lists]
    return pickled({"model": {"x": 1}, "args": lists})


def cyclic() -> bytes:
    arguments: dict = {"lr": 1.0}
    arguments["args"] = arguments
    return pickled({"model": {"x": 1}, "args": arguments})


def archive(data: bytes, method: int = zipfile.ZIP_STORED, **parts: bytes):
    """A file as torch.save writes it, with this as its pickle."""

    def make(folder):
        file = folder / "a.pt"
        with zipfile.ZipFile(file, "w", method) as packed:
            packed.writestr("archive/data.pkl", data)
            packed.writestr("archive/version", "3\n")
            for name, part in parts.items():
                packed.writestr(f"archive/data/{name}", part)
        return file

    return make


def plain_file(data: bytes, name: str = "a.pt"):
    def make(folder):
        (folder / name).write_bytes(data)
        return folder / name

    return make


def saved(content):
    def make(folder):
        torch.save(content, folder / "a.pt")
        return folder / "a.pt"

    return make


def weights(data: bytes):
    return lambda folder: (folder / WEIGHTS).write_bytes(data)


def tensors(header: object, body: bytes = b"\0" * 64, length: int | None = None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return weights(struct.pack("<Q", len(text) if length is None else length) + text + body)


def tensor(shape: list[int], offsets: list[int]) -> dict:
    return {"dtype": "F32", "shape": shape, "data_offsets": offsets}


def text(file: str, content: str | bytes):
    return lambda folder: (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)


def field(file: str, **values):
    return lambda folder: (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | values))


def other(make):
    """Takes the place of the file with the weights."""

    def change(folder):
        (folder / WEIGHTS).unlink()
        make(folder / WEIGHTS)

    return change


def as_bin(component: str):
    def change(folder):
        (folder / component / "diffusion_pytorch_model.safetensors").unlink()
        made = archive(pickled(Command()))(folder)
        made.rename(folder / component / "diffusion_pytorch_model.bin")

    return change


FILES = {
    "a command in a plain pickle": (plain_file(pickle.dumps(Command(), protocol=2)), "posix.system"),
    "a command in an archive": (archive(pickled(Command())), "posix.system"),
    "lists that double": (archive(doubled(40)), "more than 100000 values"),
    "a dictionary that holds itself": (archive(cyclic()), "64 levels"),
    "a compressed pickle": (archive(b"\0" * (1 << 22), zipfile.ZIP_DEFLATED), "compressed parts"),
    "a compressed tensor": (archive(pickled({}), zipfile.ZIP_DEFLATED, a=b"\0" * (1 << 22)), "compressed parts"),
    "no tensor": (archive(pickled({})), "no tensor"),
    "a list": (archive(pickled([1, 2])), "holds a list"),
    "a text for a tensor": (archive(pickled({"x_embedder.proj.weight": "x"})), "has no weights under"),
    "a tensor among the settings": (
        saved({"model": {"x": torch.ones(2)}, "args": {"a": {"y": torch.ones(2)}, "b": {"y": torch.zeros(3)}}}),
        "no tensor|family",
    ),
    "empty": (plain_file(b""), "is empty"),
    "no archive": (plain_file(b"PK\3\4" + b"\0" * 99), "cannot be read"),
    "a text": (plain_file(b"hello"), "cannot be read"),
    "a folder": (lambda folder: (folder / "a.pt.d").mkdir() or folder / "a.pt.d", "model_index.json is missing"),
}
FOLDERS = {
    "a command in the transformer": (as_bin("transformer"), "posix.system"),
    "a command in the VAE": (as_bin("vae"), "posix.system"),
    "a header of 2^63": (tensors({}, length=2**63), "too many for a network"),
    "a header beyond the end": (tensors({}, length=10**6), "cannot be read"),
    "tensors that overlap": (tensors({n: tensor([16], [0, 64]) for n in "ab"}), "cannot be read"),
    "a shape that overflows": (tensors({"a": tensor([2**32, 2**32], [0, 64])}), "cannot be read"),
    "offsets backwards": (tensors({"a": tensor([16], [64, 0])}), "cannot be read"),
    "a header of 90 MB": (tensors({}, length=90_000_000), "too many for a network"),
    "a header that is no text": (tensors(b"\xff" * 9), "cannot be read"),
    "20,000 names": (tensors({f"t{i}": tensor([0], [0, 0]) for i in range(20_000)}, b""), "the weights have 0 blocks"),
    "empty weights": (weights(b""), "is empty"),
    "a pipe": (other(os.mkfifo), "has no"),
    "a link elsewhere": (other(lambda path: path.symlink_to("/etc/passwd")), "too many for a network|cannot be read"),
    "a link to nowhere": (other(lambda path: path.symlink_to("nowhere")), "has no"),
    "a list as configuration": (text(CONFIG, "[]"), "not a JSON object"),
    "a deep configuration": (text(CONFIG, "[" * 1_000_000), "cannot be read"),
    "a binary configuration": (text(CONFIG, b"\xff\xfe\0"), "cannot be read"),
    "an endless number": (text(CONFIG, '{"num_layers": 1' + "0" * 10_000 + "}"), "cannot be read|must be"),
    "no configuration": (lambda folder: (folder / CONFIG).unlink(), "is missing"),
    "heads are missing": (text(CONFIG, "{}"), "config.json|is missing"),
    "a head of 10^9": (field(CONFIG, attention_head_dim=10**9), "attention_head_dim must be"),
    "a patch as list": (field(CONFIG, patch_size=[2]), "patch_size must be"),
    "control characters in a name": (field(CONFIG, **{"a\nb\x1b[31m": 1}), "is not understood"),
    "a VAE of 10^9 channels": (field(VAE, block_out_channels=[10**9] * 2), "block_out_channels must be"),
    "a VAE of 10^7 layers": (field(VAE, layers_per_block=10**7), "layers_per_block must be"),
    "code as a VAE": (field(VAE, _class_name="os.system", auto_map={"AutoModel": "evil.Evil"}), "system"),
    "labels by no number": (field(INDEX, id2label={"²": "b"}), "id2label must map"),
    "labels that are objects": (field(INDEX, id2label={"0": {"x": 1}}), "id2label must map"),
    "a label of no network": (field(INDEX, id2label={"9" * 30: "x"}), "names class"),
    "a label with an escape": (field(INDEX, id2label={"0": "\x1b[2J"}), "holds control characters"),
    "10^10 timesteps": (field(SCHEDULER, num_train_timesteps=10**10), "num_train_timesteps"),
    "a text for a beta": (field(SCHEDULER, beta_start="x"), "a value has the wrong type"),
    "a list of schedulers": (text(SCHEDULER, "[1]"), "not a JSON object"),
}
SPECS = {
    "a b/c d": "no model at",
    "x/..": "no model at",
    "--upload-pack=x/y": "no model at",
    "a\n/b\x1b[31m": "no model at",
    "[/red]/x": "no model at",
    "\0": "no model at",
    "random:DiT-XL/2-1000000000": FORMS[:8],
    "random:../x": FORMS[:8],
    "builtin:../x": "no built-in model",
}


def told(model: object, vae: str | None, capsys) -> str:
    """What the commands say of a model, after it was refused in time."""
    begun = time.process_time()
    with pytest.raises(SystemExit) as ended:
        exits(lambda: load_model(str(model), vae) and None)()
    output = capsys.readouterr()
    assert ended.value.code == 2, output.err
    assert output.err.startswith("Error: ") and output.err.count("\n") == 1 and output.out == ""
    assert all(c.isprintable() for c in output.err[:-1])
    assert time.process_time() - begun < 10
    return output.err


@pytest.mark.parametrize("name", FILES)
def test_files(name, good, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make, word = FILES[name]
    file = make(tmp_path)
    line = told(file, str(good / "vae"), capsys)
    assert any(part in line for part in word.split("|")), line
    assert file.name in line and not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name", FOLDERS)
def test_folders(name, good, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    change, word = FOLDERS[name]
    shutil.copytree(good, tmp_path / "model")
    change(tmp_path / "model")
    line = told(tmp_path / "model", None, capsys)
    assert any(part in line for part in word.split("|")), line
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("spec", SPECS, ids=[repr(spec) for spec in SPECS])
def test_names(spec, capsys):
    line = told(spec, None, capsys)
    assert SPECS[spec] in line, line


def test_code_beside_a_model_is_not_read(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(good, tmp_path / "model")
    for file in ("model/pipeline.py", "model/vae/evil.py"):
        (tmp_path / file).write_text("open('harmed', 'w')")
    field(INDEX, _class_name=["pipeline", "Evil"])(tmp_path / "model")
    field(VAE, auto_map={"AutoModel": "evil.Evil"})(tmp_path / "model")
    try:
        load_model(str(tmp_path / "model"))
    except ValueError as error:
        assert "auto_map" in str(error)
    assert not (tmp_path / "harmed").exists()
