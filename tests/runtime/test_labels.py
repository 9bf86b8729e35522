# SPDX-License-Identifier: Apache-2.0
"""Which class a name means. The names are ImageNet's own, two of which are "crane" and two "maillot"."""

import ctypes

import numpy as np
import pytest
import tiny_model

from hqdit_mobile.runtime import abi
from hqdit_mobile.runtime.engine import InvalidArgumentError, NotFoundError, Pipeline
from hqdit_mobile.runtime.labels import fold, resolve_label

LABELS = [
    "tench, Tinca tinca",
    "great white shark, white shark, man-eater",
    "crane",
    "crane",
    "7",
    "Égoïste",
    "egoiste",
    "maillot",
    "maillot, tank suit",
    "Straße",
    "drake",
]
NULL = 11


@pytest.mark.parametrize(
    ("label", "index"),
    [
        (3, 3),
        ("3", 3),
        ("11", NULL),
        ("#7", 7),
        ("tench", 0),
        ("TINCA  TINCA", 0),
        ("White Shark", 1),
        ("man-eater", 1),
        ("great white shark, white shark, man-eater", 1),
        ("Égoïste", 5),
        ("E\u0301goi\u0308ste", 5),  # NFD, as macOS types it: whole, but not the same code points
        ("egoiste", 6),
        ("maillot", 7),  # the whole name of one, a synonym in another
        ("tank suit", 8),
        ("STRASSE", 9),
        ("ｄｒａｋｅ", 10),
    ],
)
def test_a_class_is_found(label, index):
    if label == "E\u0301goi\u0308ste":
        with pytest.raises(InvalidArgumentError, match='5 "Égoïste", 6 "egoiste"'):
            resolve_label(LABELS, NULL, label)
    else:
        assert resolve_label(LABELS, NULL, label) == index


def test_what_means_two_classes_is_refused_with_their_numbers():
    for name in ("crane", "Crane"):
        with pytest.raises(InvalidArgumentError, match=r'of 2 classes, 2 "crane", 3 "crane": give the number'):
            resolve_label(LABELS, NULL, name)
    with pytest.raises(InvalidArgumentError, match='"7" is a number and the name of 4 "7": write #7 or #4'):
        resolve_label(LABELS, NULL, "7")
    assert resolve_label(["0", "1", "2"], 3, "1") == 1


@pytest.mark.parametrize("label", ["²", "٣", "", " ", ",", "-1", "1.0", "\u0301"])
def test_what_is_no_number_is_no_class(label):
    with pytest.raises(NotFoundError, match="no label has the name"):
        resolve_label(LABELS, NULL, label)


@pytest.mark.parametrize("label", [12, -1, "12", "99999999999999999999", 2**32])
def test_numbers_out_of_range(label):
    with pytest.raises(InvalidArgumentError, match=r"label must be in 0 \.\. 10 or the null label 11"):
        resolve_label(LABELS, NULL, label)


def test_a_miss_names_the_nearest():
    with pytest.raises(NotFoundError, match='near it are 0 "tench, Tinca tinca"$'):
        resolve_label(LABELS, NULL, "tensh")
    with pytest.raises(NotFoundError, match='near it are 1 "great white shark'):
        resolve_label(LABELS, NULL, "shark")
    with pytest.raises(NotFoundError, match="'hqdit info --labels' lists them"):
        resolve_label(LABELS, NULL, "xylophone")
    # LabelSearchTest.kt has these, too.
    for name, nearest in (("CRANES", '2 "crane"'), ("mailot", '7 "maillot"')):
        with pytest.raises(NotFoundError, match=f"near it are {nearest}$"):
            resolve_label(LABELS, NULL, name)


def test_folding_keeps_what_is_no_accent():
    assert fold("  Ｈeart\t\u2764\ufe0f ") == "heart \u2764"
    assert fold("ガ") == fold("カ\u3099") and fold("한글") == fold("\u1112\u1161\u11ab\u1100\u1173\u11af")


def test_pipelines_take_names_by_this_rule(tiny_files, tmp_path):
    manifest = tiny_model.make_manifest(tiny_files)
    manifest["labels"] = ["tench, Tinca tinca", "crane", "crane", "Égoïste", "owl"]
    with Pipeline(tiny_model.write_bundle(tmp_path, tiny_files, manifest)) as pipeline:
        expected = pipeline.generate(3, seed=1, steps=1)
        for label in ("egoiste", "E\u0301GOI\u0308STE", "3", "#3", np.int64(3)):
            assert np.array_equal(pipeline.generate(label, seed=1, steps=1), expected)
        assert pipeline.find_label("tinca tinca") == 0
        with pytest.raises(InvalidArgumentError, match='1 "crane", 2 "crane"'):
            pipeline.generate("crane")
        with pytest.raises(InvalidArgumentError, match="label must be in"):
            pipeline.generate(2**32)  # 0, were it cut to 32 bits


def test_the_engine_itself_finds_whole_names_only(tiny_files, tmp_path):
    manifest = tiny_model.make_manifest(tiny_files)
    manifest["labels"] = ["tench, Tinca tinca", "crane", "crane", "Égoïste", "owl"]
    library, handle, label = abi.library(), ctypes.c_void_p(), ctypes.c_int32(-1)
    bundle = tiny_model.write_bundle(tmp_path, tiny_files, manifest)
    assert library.hqdit_open(bytes(bundle), None, ctypes.byref(handle)) == 0
    statuses = {name: library.hqdit_find_label(handle, name.encode(), label) for name in ("tench", "crane", "Égoïste")}
    assert (statuses, label.value) == ({"tench": 4, "crane": 3, "Égoïste": 0}, 3)
    assert library.hqdit_close(handle) == 0
