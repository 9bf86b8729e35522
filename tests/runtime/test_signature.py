# SPDX-License-Identifier: Apache-2.0
"""Signatures: the engine's Ed25519 against RFC 8032 and the cryptography package, and what a signed bundle must be."""

import ctypes
import hashlib
import json
import os
import shutil
import threading

import numpy as np
import pytest
import tiny_model
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hqdit_mobile.ops.native import library_path
from hqdit_mobile.runtime import abi
from hqdit_mobile.runtime.engine import (
    EngineError,
    InvalidArgumentError,
    InvalidBundleError,
    Pipeline,
    SignatureError,
)
from hqdit_mobile.runtime.manifest import read_manifest
from hqdit_mobile.runtime.signature import check_signature, public_key_of, write_signature

# RFC 8032, section 7.1, tests 1 to 3: secret key, public key, message, signature.
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


@pytest.fixture(scope="module")
def engine():
    library = ctypes.CDLL(str(library_path("hqdit")))
    library.hqdit_verify_signature.restype = ctypes.c_bool

    def verify(key: bytes, signature: bytes, message: bytes) -> bool:
        return library.hqdit_verify_signature(key, signature, message, ctypes.c_size_t(len(message)))

    return verify


def openssl(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def encode(number: int) -> bytes:
    return number.to_bytes(32, "little")


def root(square: int) -> int | None:
    """RFC 8032, section 5.1.1."""
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    return x if x * x % P == square else None


def add(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """The affine addition of -x^2 + y^2 = 1 + d x^2 y^2."""
    (x1, y1), (x2, y2) = a, b
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P
    return x, (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P


def times(n: int, point: tuple[int, int]) -> tuple[int, int]:
    total = (0, 1)
    for digit in bin(n)[2:]:
        total = add(total, total)
        total = add(total, point) if digit == "1" else total
    return total


def point_of(y: int) -> tuple[int, int] | None:
    """The one with an even x."""
    x = root((y * y - 1) * pow(D * y * y + 1, -1, P) % P)
    return None if x is None else (x if x % 2 == 0 else P - x, y)


def packed(point: tuple[int, int]) -> bytes:
    return encode(point[1] | (point[0] & 1) << 255)


BASE = point_of(4 * pow(5, -1, P) % P)
# The base's order takes away what a point has beside the eight of small order.
PARTS = (times(ORDER, point) for y in range(2, 99) if (point := point_of(y)))
OF_ORDER_8 = next(point for point in PARTS if times(4, point) != (0, 1))


def test_the_rfc_s_vectors(engine):
    for secret, public, message, signature in VECTORS:
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
        assert public_key_of(key) == public and key.sign(bytes.fromhex(message)).hex() == signature
        assert engine(bytes.fromhex(public), bytes.fromhex(signature), bytes.fromhex(message))
        assert not engine(bytes.fromhex(public), bytes.fromhex(signature), bytes.fromhex(message) + b"\0")


def test_what_cryptography_signs(engine):
    """Messages around the blocks of SHA-512, and each with a bit changed somewhere."""
    random = np.random.default_rng(3)
    for size in [*range(0, 300, 7), 47, 48, 63, 64, 65, 5000]:
        key, message = Ed25519PrivateKey.from_private_bytes(random.bytes(32)), random.bytes(size)
        parts = [key.public_key().public_bytes_raw(), key.sign(message), message]
        assert engine(*parts)
        for part in range(3 if size else 2):
            changed = [bytearray(data) for data in parts]
            changed[part][random.integers(len(parts[part]))] ^= 1 << random.integers(8)
            assert not engine(*map(bytes, changed)) and not openssl(*map(bytes, changed))


def test_a_signature_has_one_form(engine):
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    public, signature = key.public_key().public_bytes_raw(), key.sign(b"m")
    s = int.from_bytes(signature[32:], "little")
    for other in (s + ORDER, s + 2 * ORDER, s | 1 << 253, s | 1 << 255, ORDER, 2**256 - 1):
        assert not engine(public, signature[:32] + encode(other), b"m"), other


def test_encodings_of_points(engine):
    """y of p or more, -0, no point: each is refused as a key where the equation alone would let it pass."""
    # With the neutral point for A and R and 0 for S the equation holds for every message.
    neutral = encode(1)
    assert not engine(neutral, neutral + encode(0), b"m")
    for bad in (encode(P + 1), encode(1 | 1 << 255), encode(P + 1 | 1 << 255), encode(2)):
        assert not engine(bad, neutral + encode(0), b"m")
    # The same R in another form, with an S that suits a key.
    secret = 12345
    public = packed(times(secret, BASE))
    for r in (neutral, encode(P + 1), encode(1 | 1 << 255)):
        k = int.from_bytes(hashlib.sha512(r + public + b"m").digest(), "little") % ORDER
        signature = r + encode(k * secret % ORDER)
        assert engine(public, signature, b"m") == (r == neutral)


def test_keys_of_small_order(engine):
    """Whoever pins one of these eight would take a signature by anybody."""
    points = [times(n, OF_ORDER_8) for n in range(8)]
    assert len({packed(point) for point in points}) == 8
    for point in points:
        assert times(8, point) == (0, 1)
        forged = [encode(1) + encode(0), packed(point) + encode(0)]
        for message in range(16):
            assert not any(engine(packed(point), signature, bytes([message])) for signature in forged)


def test_the_equation_without_the_cofactor(engine):
    """A key with a part of order 8: the signature holds where that part cancels out, as in OpenSSL."""
    secret, r = 987654321, 1122334455
    public = packed(add(times(secret, BASE), OF_ORDER_8))
    first = packed(times(r, BASE))
    seen = set()
    for number in range(40):
        message = bytes([number])
        k = int.from_bytes(hashlib.sha512(first + public + message).digest(), "little")
        signature = first + encode((r + k % ORDER * secret) % ORDER)
        holds = k % ORDER % 8 == 0
        assert engine(public, signature, message) == holds == openssl(public, signature, message)
        seen.add(holds)
    assert seen == {True, False}


@pytest.fixture
def signed(tmp_path, tiny_files):
    """A signed bundle, the key and its public key."""
    bundle, key = tiny_model.write_bundle(tmp_path / "bundle", tiny_files), Ed25519PrivateKey.generate()
    write_signature(bundle, key, (bundle / "manifest.json").read_bytes())
    return bundle, key, public_key_of(key)


OTHER = VECTORS[0][1]


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
    for bad in (encode(2).hex(), encode(1).hex(), encode(P + 1).hex()):
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
    import subprocess

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if shutil.which("openssl") is None:
        pytest.skip("not found: openssl")
    bundle, key, _ = signed
    pem = tmp_path / "public.pem"
    pem.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", pem, "-in", bundle / "manifest.json"]
    done = subprocess.run([*command, "-sigfile", bundle / "manifest.json.sig"], capture_output=True, text=True)
    assert "Signature Verified Successfully" in done.stdout, done.stderr
