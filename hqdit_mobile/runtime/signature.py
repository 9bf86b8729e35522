# SPDX-License-Identifier: Apache-2.0
"""Signatures of bundles: Ed25519 (RFC 8032) over the bytes of manifest.json, in manifest.json.sig beside it.

The manifest has the digests of all other files. The engine verifies signatures by itself (hqdit.h, public_keys); here
are those who sign, and who reads a bundle without the engine. A public key is written as 64 hexadecimal digits.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hqdit_mobile.runtime.errors import SignatureError
from hqdit_mobile.util.atomic_write import whole_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNATURE = "manifest.json.sig"
SIGNATURE_BYTES = 64


class KeyFileError(ValueError):
    """A key that cannot be used or made; the message names the file and the fix."""


def key_bytes(text: str) -> bytes:
    """The 32 bytes of a public key in hexadecimal digits; raises KeyFileError."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise KeyFileError(f"{text!r} is no public key: it takes the 64 hexadecimal digits that hqdit sign prints")
    return key


def read_public_key(path: Path) -> str:
    """Of a PEM file, as ``openssl pkey -pubout`` writes it. Raises KeyFileError or OSError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except ValueError as error:
        raise KeyFileError(f"{path} is no public key in PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path} is a public key of another kind; bundles are signed with Ed25519")
    return key.public_bytes_raw().hex()


def public_key_of(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def make_private_key(path: Path) -> Ed25519PrivateKey:
    """Writes a new key (PEM, PKCS #8) that only its owner may read. Raises KeyFileError if ``path`` exists."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise KeyFileError(f"{path} exists; a key is never written over: choose another name") from error
    try:
        with open(descriptor, "wb") as stream:
            stream.write(text)
    except BaseException:
        path.unlink()  # of no use to anybody, half a key
        raise
    return key


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Raises KeyFileError if it is no Ed25519 key in PEM, is encrypted, or if others may read it; or OSError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    with path.open("rb") as stream:
        if os.fstat(stream.fileno()).st_mode & 0o077:
            raise KeyFileError(f"{path} may be read by others: chmod 600 it, and make a new key if somebody has")
        text = stream.read(1 << 16)
    try:
        key = load_pem_private_key(text, password=None)
    except TypeError as error:
        raise KeyFileError(f"{path} is encrypted; give a decrypted one: openssl pkey -in KEY -out NEW") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} is no private key in PEM; hqdit sign --new-key FILE makes one") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} is a key of another kind; hqdit sign --new-key FILE makes one of Ed25519")
    return key


def write_signature(folder: Path, key: Ed25519PrivateKey, manifest: bytes) -> None:
    """``manifest``: the bytes of the folder's manifest.json, which the caller has checked."""
    with whole_file(folder / SIGNATURE) as temporary:
        temporary.write_bytes(key.sign(manifest))


def check_signature(folder: Path, manifest: bytes, public_keys: Sequence[str]) -> str:
    """The one of ``public_keys`` that has signed ``manifest``, the bytes of the folder's manifest.json.

    Raises SignatureError if none has; KeyFileError if one is no key.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    path = folder / SIGNATURE
    fix = "get the bundle from who signs it, or sign it: hqdit sign"
    try:
        with path.open("rb") as stream:
            signature = stream.read(SIGNATURE_BYTES + 1)
    except OSError as error:
        raise SignatureError(f"{path}: {error.strerror}: the bundle is not signed; {fix}") from error
    if len(signature) != SIGNATURE_BYTES:
        raise SignatureError(f"{path}: a signature has {SIGNATURE_BYTES} bytes; {fix}")
    for text in public_keys:
        try:
            Ed25519PublicKey.from_public_bytes(key_bytes(text)).verify(signature, manifest)
            return text
        except InvalidSignature:
            continue
    raise SignatureError(
        f"{path}: is no signature of manifest.json by the public key that was asked for: another key signed it, or the "
        f"manifest was changed; {fix}"
    )
