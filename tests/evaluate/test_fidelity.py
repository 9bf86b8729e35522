# SPDX-License-Identifier: Apache-2.0
"""--fidelity: torch-fidelity's own code on small images and features, against the formulas of the papers."""

import sys
import urllib.error

import numpy as np
import pytest
import scipy.linalg
import torch
from fidelity_features import NAME, features
from PIL import Image

from hqdit_mobile.evaluate import fidelity
from hqdit_mobile.evaluate.fidelity import Fidelity, FidelityError

SIZE = 16


def drawn(count, seed, low=0):
    """uint8 [n, SIZE, SIZE, 3]: two colours each, from `low` up, with noise."""
    rng = np.random.default_rng(seed)
    halves = rng.integers(low, 200, (count, 2, 1, 3)).repeat(SIZE // 2, axis=1)
    return (halves + rng.integers(0, 56, (count, SIZE, SIZE, 3))).astype(np.uint8)


@pytest.fixture
def extractor(monkeypatch):
    monkeypatch.setattr(fidelity, "EXTRACTOR", NAME)


@pytest.fixture
def reference(tmp_path):
    """The same images as a folder in ImageNet's layout and as ADM's file."""
    images = drawn(60, 1, low=40)
    for index, image in enumerate(images):
        path = tmp_path / f"train/class{index % 3}/{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    np.savez(tmp_path / "reference.npz", arr_0=images, mu=np.zeros(2))
    return tmp_path, images


def embedded(images):
    return features(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()


def covered(points, by):
    """Kynkäänniemi et al. 2019, equation 1: within the distance of the third neighbour of any point of `by`."""
    radius = np.sort(np.linalg.norm(by[:, None] - by[None], axis=-1), axis=1)[:, 3]
    return (np.linalg.norm(points[:, None] - by[None], axis=-1) <= radius).any(axis=1).mean()


def inception_score(images):
    """Salimans et al. 2016, one part of all."""
    logits = embedded(images)[:, :6] * 8
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return np.exp((p * (np.log(p) - np.log(p.mean(axis=0)))).sum(axis=1).mean())


def test_figures_are_their_formulas(extractor, reference):
    folder, real = reference
    images = drawn(50, 2)
    with Fidelity(folder / "train", SIZE) as compared:
        found, of_real = compared.figures(images), compared.figures(real)
        assert compared.count == 60 and "60 images" in compared.note()
    a, b = embedded(images), embedded(real)
    root = scipy.linalg.sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False)).real
    trace = np.trace(np.cov(a, rowvar=False) + np.cov(b, rowvar=False) - 2 * root)
    assert found["fid"] == pytest.approx(((a.mean(0) - b.mean(0)) ** 2).sum() + trace, rel=1e-5)
    assert found["precision"] == pytest.approx(covered(a, b)) and 0 < found["precision"] < 1
    assert found["recall"] == pytest.approx(covered(b, a)) and 0 < found["recall"] < 1
    assert 1 < found["inception_score"] <= inception_score(images) and found["inception_score_std"] > 0
    assert of_real["fid"] < 1e-6 and of_real["precision"] == of_real["recall"] == 1


def test_a_folder_and_adms_file_are_the_same_reference(extractor, reference):
    folder, _ = reference
    images = drawn(20, 3)
    found = []
    for path in (folder / "train", folder / "reference.npz"):
        with Fidelity(path, SIZE) as compared:
            found.append(compared.figures(images))
    assert found[0] == pytest.approx(found[1], rel=1e-9)


def test_reference_images_of_other_sizes_are_cropped(extractor, tmp_path):
    for index, size in enumerate([(32, 32), (48, 32), (16, 20)] * 4):
        Image.new("RGB", size, (20 * index, 100, 50)).save(tmp_path / f"{index}.png")
    with Fidelity(tmp_path, SIZE) as compared:
        assert np.isfinite(compared.figures(drawn(12, 4))["fid"])


def test_wrong_references_are_named(extractor, tmp_path):
    with pytest.raises(FidelityError, match="has 0 images"):
        Fidelity(tmp_path, SIZE)
    np.savez(tmp_path / "stats.npz", mu=np.zeros(3))
    np.savez(tmp_path / "float.npz", arr_0=np.zeros((12, 4, 4, 3)))
    np.savez(tmp_path / "few.npz", arr_0=drawn(9, 0))
    (tmp_path / "text.npz").write_text("no")
    for name, word in (("stats", "arr_0"), ("float", r"uint8 \[n, H, W, 3\], not float64"), ("few", "has 9 images"),
                       ("text", "neither")):  # fmt: skip
        with pytest.raises(FidelityError, match=word) as error:
            Fidelity(tmp_path / f"{name}.npz", SIZE)
        assert name in str(error.value)


def test_missing_weights_say_where_they_belong(reference, monkeypatch, tmp_path):
    """torch-fidelity's own Inception network, on a machine without a connection."""

    def no_connection(*_arguments, **_settings):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", no_connection)
    with pytest.raises(FidelityError, match=r"weights of inception-v3-compat.*no route.*home/hub/checkpoints"):
        Fidelity(reference[0] / "reference.npz", SIZE)


def test_a_missing_library_names_the_extra(reference, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity.registry", None)
    with pytest.raises(FidelityError, match=r"pip install 'hqdit-mobile\[fidelity\]'"):
        Fidelity(reference[0] / "reference.npz", SIZE)
