# SPDX-License-Identifier: Apache-2.0
"""A bundle as descriptors, for a process that may not open files."""

import ctypes
import os
import shutil

import numpy as np
import pytest
import tiny_model
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hqdit_mobile.runtime import abi
from hqdit_mobile.runtime.engine import (
    FileAccessError,
    InvalidArgumentError,
    InvalidBundleError,
    MemoryLimitError,
    NotFoundError,
    Pipeline,
    SignatureError,
    estimate,
)
from hqdit_mobile.runtime.signature import public_key_of, write_signature

MANIFEST = "manifest.json"


@pytest.fixture
def bundle(tmp_path, tiny_files):
    return tiny_model.write_bundle(tmp_path / "bundle", tiny_files)


def open_all(bundle) -> dict[str, int]:
    return {path.name: os.open(path, os.O_RDONLY) for path in bundle.iterdir()}


@pytest.fixture
def opened(bundle):
    """Its files' descriptors by name."""
    files = open_all(bundle)
    yield files
    for descriptor in files.values():
        os.close(descriptor)


@pytest.mark.parametrize("load_mode", ["mmap", "read"])
def test_draws_without_opening_a_path(bundle, tiny_bundle, load_mode):
    """The folder is gone when the engine gets the descriptors, and they are closed when it draws."""
    opened = open_all(bundle)
    shutil.rmtree(bundle)
    for descriptor in opened.values():
        os.lseek(descriptor, 5, os.SEEK_SET)
    assert estimate(opened) == estimate(tiny_bundle)
    memory, handle = abi.Memory(struct_size=ctypes.sizeof(abi.Memory)), ctypes.c_void_p()
    library = abi.library()
    assert library.hqdit_open_files(abi.files(opened), len(opened), None, ctypes.byref(handle)) == 0
    assert library.hqdit_get_memory(handle, memory) == 0 and memory.peak_bytes == estimate(tiny_bundle).peak_bytes
    assert library.hqdit_get_memory(handle, None) == 3 and library.hqdit_get_memory(None, memory) == 3
    assert library.hqdit_close(handle) == 0
    with Pipeline(opened, load_mode=load_mode) as pipeline, Pipeline(tiny_bundle) as expected:
        assert [os.lseek(descriptor, 0, os.SEEK_CUR) for descriptor in opened.values()] == [5] * len(opened)
        for descriptor in opened.values():
            os.close(descriptor)
        assert np.array_equal(pipeline.generate(2, seed=3, steps=3), expected.generate(2, seed=3, steps=3))


def test_nothing_stays_open(opened):
    folder = "/proc/self/fd"
    if not os.path.isdir(folder):
        pytest.skip("needs /proc")
    Pipeline(opened).close()
    before = len(os.listdir(folder))
    for _ in range(5):
        Pipeline(opened, load_mode="read").close()
        with pytest.raises(MemoryLimitError):
            Pipeline(opened, memory_limit_bytes=10)
    assert len(os.listdir(folder)) == before


def test_same_digests_and_sizes(bundle, opened):
    with open(bundle / "vae_decoder.pte", "r+b") as stream:
        stream.write(b"\0")
    with pytest.raises(InvalidBundleError, match=r"vae_decoder\.pte: SHA-256"):
        Pipeline(opened)
    os.truncate(bundle / "vae_decoder.pte", 10)
    with pytest.raises(InvalidBundleError, match=r"vae_decoder\.pte: has 10 bytes"):
        estimate(opened)


def test_same_signatures(bundle, opened):
    key = Ed25519PrivateKey.generate()
    with pytest.raises(SignatureError, match=r"manifest\.json\.sig: is not among the files.*not signed"):
        Pipeline(opened, public_keys=[public_key_of(key)])
    write_signature(bundle, key, (bundle / MANIFEST).read_bytes())
    opened["manifest.json.sig"] = os.open(bundle / "manifest.json.sig", os.O_RDONLY)
    Pipeline(opened, public_keys=[public_key_of(key)]).close()
    with pytest.raises(SignatureError, match="another key"):
        Pipeline(opened, public_keys=[public_key_of(Ed25519PrivateKey.generate())])


def test_what_is_no_file(bundle, opened):
    reading, writing = os.pipe()
    folder = os.open(bundle, os.O_RDONLY)
    only_written = os.open(bundle / "transformer.pte", os.O_WRONLY)
    closed = 1 << 20  # a number that no process gives out: a lower one could be the engine's own
    cases = [
        ("transformer.pte", reading, InvalidBundleError, r"transformer\.pte: not a regular file"),
        ("transformer.pte", folder, InvalidBundleError, r"transformer\.pte: not a regular file"),
        ("transformer.pte", only_written, FileAccessError, r"transformer\.pte: Bad file descriptor"),
        ("transformer.pte", closed, InvalidArgumentError, r"transformer\.pte: its descriptor is not open"),
        (MANIFEST, closed, InvalidArgumentError, r"manifest\.json: its descriptor is not open"),
        (MANIFEST, -1, InvalidArgumentError, r"files\[\d\]\.descriptor is not open"),
        ("", reading, InvalidArgumentError, r"files\[3\]\.name is empty"),
    ]
    for name, descriptor, error, message in cases:
        with pytest.raises(error, match=message):
            Pipeline(opened | {name: descriptor})
    for descriptor in (reading, writing, folder, only_written):
        os.close(descriptor)


def test_files_that_are_missing_or_twice(opened):
    for name in (MANIFEST, "vae_decoder.pte"):
        with pytest.raises(NotFoundError, match=f"{name}: is not among the files"):
            Pipeline({other: descriptor for other, descriptor in opened.items() if other != name})
    with pytest.raises(InvalidArgumentError, match=r"1 \.\. 1024"):
        Pipeline({})
    library, handle = abi.library(), ctypes.c_void_p()
    twice = (abi.File * 2)(abi.File(b"manifest.json", 0), abi.File(b"manifest.json", 0))
    assert library.hqdit_open_files(twice, 2, None, ctypes.byref(handle)) == 3
    assert b'files[1].name is "manifest.json", as that of another file' in library.hqdit_last_error()
    assert library.hqdit_open_files(None, 2, None, ctypes.byref(handle)) == 3
    assert library.hqdit_open_files(twice, 2, None, None) == 3
    assert library.hqdit_open_files((abi.File * 1)(), 1, None, ctypes.byref(handle)) == 3
    assert library.hqdit_estimate_files(twice, 2, None) == 3
