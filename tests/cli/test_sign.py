# SPDX-License-Identifier: Apache-2.0
"""``hqdit sign`` and what verifies it."""

import functools
import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_model
from checkpoint_folders import tiny_folder
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from hqdit_mobile.runtime.documents import describe_documents
from hqdit_mobile.runtime.manifest_file import read_manifest, write_manifest
from hqdit_mobile.runtime.signature import make_private_key, public_key_of


@pytest.fixture
def hqdit(command) -> Callable[..., subprocess.CompletedProcess[str]]:
    return functools.partial(command, "hqdit")


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2 and "Traceback" not in done.stderr, done
    return done.stderr.splitlines()[-1]


@pytest.fixture
def bundle(tmp_path, tiny_files) -> Path:
    """With a document, as exports have them."""
    folder = tiny_model.write_bundle(tmp_path / "bundle", tiny_files)
    (folder / "README.md").write_text("as exported")
    manifest = read_manifest(folder)
    manifest.documents = describe_documents(folder, manifest)
    write_manifest(folder, manifest)
    return folder


def test_the_way_of_a_bundle(hqdit, bundle, tmp_path):
    key = tmp_path / "release.pem"
    assert "signature none" in " ".join(hqdit("info", bundle).stdout.split())
    made = hqdit("sign", bundle, "--new-key", key)
    assert made.returncode == 0 and "is signed" in made.stderr, made
    (public,) = made.stdout.split()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert public_key_of(load_pem_private_key(key.read_bytes(), None)) == public
    assert hqdit("sign", "--key", key).stdout.split() == [public]
    first = (bundle / "manifest.json.sig").read_bytes()
    assert hqdit("sign", bundle, "--key", key).returncode == 0
    assert (bundle / "manifest.json.sig").read_bytes() == first  # Ed25519 has no random numbers
    assert "not verified" in hqdit("info", bundle).stdout
    info = " ".join(hqdit("info", bundle, "--public-key", public).stdout.split())
    assert "signature valid, and so are the files memory" in info
    other = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert "another key signed it" in last_line(hqdit("info", bundle, "--public-key", other))
    picture = tmp_path / "a.png"
    draw = ("sample", bundle, "--label", "1", "--steps", "2", "-o", picture)
    assert "another key signed it" in last_line(hqdit(*draw, "--public-key", other)) and not picture.exists()
    assert hqdit(*draw, "--public-key", other, "--public-key", public).returncode == 0 and picture.exists()
    (bundle / "more.txt").touch()
    info = " ".join(hqdit("info", bundle, "--public-key", public).stdout.split())
    assert "valid, and so are the files, but for more.txt, which it does not cover" in info
    (bundle / "README.md").write_text("forged")
    assert "README.md has another SHA-256" in last_line(hqdit("info", bundle, "--public-key", public))
    assert "README.md has another SHA-256" in last_line(hqdit("sign", bundle, "--key", key))
    assert "exists; a key is never written over" in last_line(hqdit("sign", "--new-key", key))


@pytest.mark.slow
def test_an_export_signs_what_a_picture_is_drawn_with(command, hqdit, tmp_path):
    """From a checkpoint to a picture, with the key that signed and with another."""
    tiny_folder(tmp_path / "model")
    key, other, bundle = tmp_path / "release.pem", tmp_path / "other.pem", tmp_path / "bundle"
    (public,) = hqdit("sign", "--new-key", key).stdout.split()
    (stranger,) = hqdit("sign", "--new-key", other).stdout.split()
    asked = ("-m", tmp_path / "model", "--target", "desktop", "--fast", "--steps", "2", "--sign", key)
    done = command("hqdit-export", *asked, "-o", bundle)
    assert done.returncode == 0, done.stderr
    signature, text = (bundle / "manifest.json.sig").read_bytes(), (bundle / "manifest.json").read_bytes()
    load_pem_private_key(key.read_bytes(), None).public_key().verify(signature, text)  # raises if it is another's
    info = " ".join(hqdit("info", bundle, "--public-key", public).stdout.split())
    assert "signature valid, and so are the files memory" in info, "whatever the export wrote is covered"
    picture, draw = tmp_path / "a.png", ("sample", bundle, "--label", "1", "--steps", "2", "-o")
    assert "another key signed it" in last_line(hqdit(*draw, picture, "--public-key", stranger))
    assert not picture.exists()
    assert hqdit(*draw, picture, "--public-key", public).returncode == 0
    assert hqdit(*draw, tmp_path / "b.png").returncode == 0
    assert picture.read_bytes() == (tmp_path / "b.png").read_bytes(), "a key changes nothing about the picture"
    manifest = json.loads(text)
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"name": "forged"}))
    assert "signed" in last_line(hqdit(*draw, tmp_path / "c.png", "--public-key", public))
    assert not (tmp_path / "c.png").exists()


def test_keys_of_other_tools(command, hqdit, bundle, tmp_path):
    private = ed25519.Ed25519PrivateKey.generate()
    pem = tmp_path / "public.pem"
    pem.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    key = tmp_path / "private.pem"

    def store(new, encryption=NoEncryption(), mode=0o600) -> None:  # noqa: B008
        key.write_bytes(new.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        key.chmod(mode)

    store(private)
    assert hqdit("sign", bundle, "--key", key).returncode == 0
    assert hqdit("info", bundle, "--public-key", pem).returncode == 0
    store(private, mode=0o644)
    assert "may be read by others: chmod 600" in last_line(hqdit("sign", bundle, "--key", key))
    store(private, BestAvailableEncryption(b"secret"))
    assert "is encrypted" in last_line(hqdit("sign", bundle, "--key", key))
    store(ec.generate_private_key(ec.SECP256R1()))
    assert "is a key of another kind" in last_line(hqdit("sign", bundle, "--key", key))
    key.write_text("nothing")
    assert "is no private key in PEM; hqdit sign --new-key" in last_line(hqdit("sign", bundle, "--key", key))
    assert "No such file" in last_line(hqdit("sign", bundle, "--key", tmp_path / "nowhere"))
    assert "give the private key with --key" in last_line(hqdit("sign", bundle))
    for bad in ("00", key, "x" * 64):
        assert "Invalid value for '--public-key'" in last_line(hqdit("info", bundle, "--public-key", bad))
    export = command("hqdit-export", "-o", tmp_path / "out", "--sign", key)
    assert "is no private key in PEM" in last_line(export) and not (tmp_path / "out").exists()


def test_half_a_key_is_not_left(tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.open", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        make_private_key(tmp_path / "key.pem")
    assert list(tmp_path.iterdir()) == []
