# SPDX-License-Identifier: Apache-2.0
"""The engine's Ed25519 against RFC 8032, the cryptography package, and the curve's equations in whole numbers."""

import ctypes
import hashlib

import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hqdit_mobile.ops.native import library_path
from hqdit_mobile.runtime.signature import public_key_of

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
