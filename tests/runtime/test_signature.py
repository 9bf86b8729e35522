# SPDX-License-Identifier: Apache-2.0
"""What a signed bundle must be, for an app that names public keys."""

import ctypes
import json
import os
import shutil
import subprocess
import threading

import numpy as np
import pytest
import tiny_model
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hqdit_mobile.runtime import abi
from hqdit_mobile.runtime.engine import (
    EngineError,
    InvalidArgumentError,
    InvalidBundleError,
    Pipeline,
    SignatureError,
)
from hqdit_mobile.runtime.manifest_file import read_manifest
from hqdit_mobile.runtime.signature import check_signature, public_key_of, write_signature


@pytest.fixture
def signed(tmp_path, tiny_files):
    """A signed bundle, the key and its public key."""
    bundle, key = tiny_model.write_bundle(tmp_path / "bundle", tiny_files), Ed25519PrivateKey.generate()
    write_signature(bundle, key, (bundle / "manifest.json").read_bytes())
    return bundle, key, public_key_of(key)


# Of RFC 8032's first test.
OTHER = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


def test_a_signed_bundle_opens(signed):
    bundle, _, public = signed
    with Pipeline(bundle) as without, Pipeline(bundle, public_keys=[OTHER, public]) as pipeline:
        assert np.array_equal(pipeline.generate(1, steps=2), without.generate(1, steps=2))
    assert check_signature(bundle, (bundle / "manifest.json").read_bytes(), [OTHER, public]) == public


def refused(bundle, public_keys, message, error=SignatureError):
    with pytest.raises(error, match=message):
        Pipeline(bundle, public_keys=public_keys)
    with pytest.raises(error if error is SignatureError else ValueError, match=message):
        read_manifest(bundle, public_keys)


def test_other_bundles_do_not(signed):
    bundle, key, public = signed
    path = bundle / "manifest.json.sig"
    signature, manifest = path.read_bytes(), (bundle / "manifest.json").read_bytes()
    refused(bundle, [OTHER], "another key signed it, or the manifest was changed")
    (bundle / "manifest.json").write_bytes(manifest.replace(b'"tiny"', b'"tinx"'))
    refused(bundle, [public], "another key signed it, or the manifest was changed")
    (bundle / "manifest.json").write_bytes(b"{}")  # which is not parsed first
    refused(bundle, [public], "another key signed it")
    (bundle / "manifest.json").write_bytes(manifest)
    path.write_bytes(signature[:63])
    refused(bundle, [public], "a signature has 64")
    path.write_bytes(signature + b"\n")
    refused(bundle, [public], "a signature has 64")
    path.unlink()
    refused(bundle, [public], r"manifest\.json\.sig.*No such file.*not signed.*hqdit sign")
    path.write_bytes(key.sign(manifest))
    Pipeline(bundle, public_keys=[public]).close()
    # The digests carry it over to the programs.
    program = bundle / "vae_decoder.pte"
    program.write_bytes(program.read_bytes()[:-1] + b"\0")
    with pytest.raises(InvalidBundleError, match="SHA-256"):
        Pipeline(bundle, public_keys=[public])


def test_keys_that_are_none(signed):
    bundle, _, public = signed
    for bad in ("", public[:-2], public + "00", "zz" * 32):
        refused(bundle, [bad], "no public key", ValueError)
    for number in (1, 2, 2**255 - 18):  # the neutral point, no point, and the first in another encoding
        bad = number.to_bytes(32, "little").hex()
        with pytest.raises(InvalidArgumentError, match=r"public_keys\[1\] is no public key"):
            Pipeline(bundle, public_keys=[public, bad])
    with pytest.raises(InvalidArgumentError, match="public_keys need verify_sha256"):
        Pipeline(bundle, public_keys=[public], verify_sha256=False)
    with pytest.raises(InvalidArgumentError, match="at most 64"):
        Pipeline(bundle, public_keys=[public] * 65)


def test_through_the_c_interface(signed):
    bundle, _, _ = signed
    library, handle, options = abi.library(), ctypes.c_void_p(), abi.OpenOptions()
    library.hqdit_open_options_init(options, ctypes.sizeof(options))
    options.public_key_count = 1
    assert library.hqdit_open(os.fsencode(bundle), options, ctypes.byref(handle)) == 3
    options.public_keys = bytes.fromhex(OTHER)
    assert library.hqdit_open(os.fsencode(bundle), options, ctypes.byref(handle)) == 11 and not handle
    assert library.hqdit_status_name(11) == b"HQDIT_INVALID_SIGNATURE"
    # A caller that was built before there were keys.
    options.struct_size = abi.OpenOptions.public_keys.offset
    assert library.hqdit_open(os.fsencode(bundle), options, ctypes.byref(handle)) == 0
    assert library.hqdit_close(handle) == 0


def test_what_is_parsed_is_what_was_verified(signed, tmp_path):
    """Another manifest takes the signed one's place again and again: none that opens has its name."""
    bundle, _, public = signed
    good = (bundle / "manifest.json").read_bytes()
    bad = json.dumps(json.loads(good) | {"name": "other"}).encode()
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            for data in (bad, good):
                (tmp_path / "next").write_bytes(data)
                os.replace(tmp_path / "next", bundle / "manifest.json")

    thread = threading.Thread(target=exchange)
    thread.start()
    opened = refused = 0
    try:
        for _ in range(300):
            try:
                pipeline = Pipeline(bundle, public_keys=[public])
            except EngineError:
                refused += 1
                continue
            with pipeline:
                opened += 1
                assert pipeline.name == "tiny"
    finally:
        stop.set()
        thread.join()
    assert opened > 20 and refused > 20


def test_openssl_verifies_it_too(signed, tmp_path):
    """The format is what other tools write and read: 64 bytes, a key in PEM."""
    if shutil.which("openssl") is None:
        pytest.skip("not found: openssl")
    bundle, key, _ = signed
    pem = tmp_path / "public.pem"
    pem.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", pem, "-in", bundle / "manifest.json"]
    done = subprocess.run([*command, "-sigfile", bundle / "manifest.json.sig"], capture_output=True, text=True)
    assert "Signature Verified Successfully" in done.stdout, done.stderr
