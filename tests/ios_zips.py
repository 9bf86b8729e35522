# SPDX-License-Identifier: Apache-2.0
"""Zip files for the importer of the iOS app: what people make, and what attackers make."""

import io
import struct
import zipfile
from pathlib import Path

MANIFEST = "manifest.json"


def pack(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def patch(archive: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    """`archive` with `value` at `offset` of the last record that has this signature."""
    start = archive.rindex(signature) + offset
    return archive[:start] + value + archive[start + len(value) :]


def padded(archive: bytes) -> bytes:
    """`archive` of one file with a byte more behind its compressed content, which the directory counts as its own."""
    start = archive.rindex(b"PK\1\2")
    (packed,) = struct.unpack_from("<I", archive, start + 20)
    longer = archive[:start] + b"\0" + archive[start:]
    longer = patch(longer, b"PK\1\2", 20, struct.pack("<I", packed + 1))
    return patch(longer, b"PK\5\6", 16, struct.pack("<I", start + 1))


def good_files(bundle: Path) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in bundle.iterdir()}
    nested = {f"my bundle/{name}": content for name, content in files.items()}
    finder = nested | {"__MACOSX/my bundle/._manifest.json": b"\0\5\x16\7", "my bundle/.DS_Store": b"\0"}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.mkdir("my bundle")
        for name, content in nested.items():
            archive.writestr(name, content)
        archive.comment = b"PK\5\6 as a comment"
    return {
        "good-deflated": pack(files),
        "good-finder": pack(finder),
        "good-nested": pack(nested),
        "good-stored": buffer.getvalue(),
    }


def bad_files(bundle: Path) -> dict[str, tuple[bytes, str]]:
    """Each with the word that the complaint must hold."""
    files = {path.name: path.read_bytes() for path in bundle.iterdir()}
    whole = pack(files)
    one = pack({"a": b"0" * 5000})
    entry, local, end = b"PK\1\2", b"PK\3\4", b"PK\5\6"

    def names(*paths: str) -> bytes:
        return pack({path: b"x" for path in paths})

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a", b"0" * 5000)
    return {
        "bad-empty": (b"", "not a zip"),
        "bad-text": (b"this is text, and long enough to hold an end record" * 9, "not a zip"),
        "bad-no-bundle": (names("picture.png"), MANIFEST),
        "bad-cut": (whole[:-30], "not a zip"),
        "bad-cut-middle": (whole[:1000] + whole[-400:], "damaged"),
        "bad-up": (names("../../evil"), "unsafe path"),
        "bad-absolute": (names("/etc/evil"), "unsafe path"),
        # To Swift a slash is one character with the accent behind it, or with the Arabic sign before it.
        "bad-up-accent": (names("../\u0301evil"), "unsafe path"),
        "bad-up-joined": (names("a\u0600/../\u0301evil"), "unsafe path"),
        "bad-backslash": (names("a\\b").replace(b"a/b", b"a\\b"), "unsafe path"),
        "bad-control": (names("a\nb"), "unsafe path"),
        "bad-deep": (names("a/b/c/d/e"), "unsafe path"),
        "bad-long": (names("x" * 300), "unsafe path"),
        "bad-twice": (names("ab", "ac").replace(b"ac", b"ab"), "twice"),
        "bad-file-as-folder": (names("ab", "ac/x").replace(b"ac/x", b"ab/x"), "ab"),
        "bad-many": (names(*map(str, range(300))), "more than 256"),
        "bad-too-many": (names(*map(str, range(700))), "not a bundle"),
        "bad-encrypted": (patch(one, entry, 8, b"\1\0"), "encrypted"),
        "bad-method": (buffer.getvalue(), "method 12"),
        "bad-checksum": (patch(one, entry, 16, b"\0\0\0\0"), "damaged"),
        "bad-larger": (patch(one, entry, 24, struct.pack("<I", 100)), "larger than the zip file says"),
        "bad-smaller": (patch(one, entry, 24, struct.pack("<I", 2**31)), "damaged"),
        "bad-packed-size": (patch(one, entry, 20, struct.pack("<I", 2**31)), "damaged"),
        "bad-header": (patch(one, local, 0, b"PX"), "damaged"),
        "bad-offset": (patch(one, entry, 42, struct.pack("<I", 2**32 - 2)), "damaged"),
        "bad-directory": (patch(one, end, 16, struct.pack("<I", 2**32 - 2)), "damaged"),
        "bad-zip64": (patch(one, end, 16, b"\xff\xff\xff\xff"), "zip64"),
        "bad-count": (patch(one, end, 10, b"\2\0"), "damaged"),
        "bad-count-less": (patch(names("a", "b"), end, 10, b"\1\0"), "damaged"),
        "bad-directory-size": (patch(one, end, 12, b"\1\0\0\0"), "damaged"),
        "bad-folder": (names("abc").replace(b"abc", b"ab/"), "folder with content"),
        "bad-manifest": (names("manifest.json/a", "b"), MANIFEST),
        "bad-behind-content": (padded(one), "damaged"),
        "bad-name": (names("ab").replace(b"ab", b"\xff\xfe"), "UTF-8"),
        "bad-stream": (patch(one, local, 31, b"\xff\xff\xff\xff"), "damaged"),
    }


def write(folder: Path, bundle: Path) -> Path:
    folder.mkdir()
    for name, content in good_files(bundle).items():
        (folder / f"{name}.zip").write_bytes(content)
    for name, (content, word) in bad_files(bundle).items():
        (folder / f"{name}.zip").write_bytes(content)
        (folder / f"{name}.txt").write_text(word)
    return folder
