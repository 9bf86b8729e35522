# SPDX-License-Identifier: Apache-2.0
"""Where ``hqdit sample`` puts its picture: looked at before drawing, which may take minutes; written whole."""

from __future__ import annotations

import io
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hqdit_mobile.util.atomic_write import check_writable, whole_file

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
STANDARD_OUTPUT = "-"
_SETTINGS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
}


@dataclass(frozen=True)
class PictureOutput:
    """``replaced``: the regular file that the picture becomes, links resolved; None where it is written through to a
    device, a pipe or standard output."""

    name: str
    format: str
    replaced: Path | None

    def write(self, pixels: np.ndarray) -> None:
        """``pixels`` uint8 [H, W, 3]. Raises OSError naming the file; then nothing half-written is left."""
        data = encode(pixels, self.format)
        if self.name == STANDARD_OUTPUT:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        elif self.replaced is None:
            with open(self.name, "wb") as stream:
                stream.write(data)
        else:
            try:
                with whole_file(self.replaced) as temporary:
                    temporary.write_bytes(data)
            except OSError as error:
                raise OSError(error.errno, error.strerror, self.name) from error

    def beside(self, ending: str) -> PictureOutput:
        """The output for a second picture, a PNG called after this one. Raises ValueError where there is no folder."""
        if self.replaced is None:
            raise ValueError(f"{self.name} is no file: previews need one to lie beside; give -o a file's name")
        path = Path(self.name)
        return picture_output(str(path.with_name(f"{path.stem}{ending}.png")))


def picture_output(name: str) -> PictureOutput:
    """Checks where a picture is to go, "-" being standard output.

    Raises ValueError for a suffix of no format, a folder, or what no picture can be written to; OSError if the folder
    takes no new file.
    """
    if name == STANDARD_OUTPUT:
        if sys.stdout is None:
            raise ValueError("standard output is closed: give -o the name of a file")
        if sys.stdout.isatty():
            raise ValueError("a PNG would fill the terminal: send standard output to a file or a program")
        return PictureOutput(name, "PNG", None)
    path = Path(name)
    try:
        mode = os.stat(name).st_mode
    except FileNotFoundError:
        mode = None
    if name.endswith(os.sep) or (mode is not None and stat.S_ISDIR(mode)):
        raise ValueError(f"{name} is a folder: give -o the name of a file in it, such as {path / 'sample.png'}")
    special = mode is not None and not stat.S_ISREG(mode)
    format = FORMATS.get(path.suffix.lower())
    if format is None and special and not path.suffix:
        format = "PNG"
    if format is None:
        raise ValueError(f"{name}: the suffix chooses the format, and must be one of {', '.join(FORMATS)}")
    if special:
        if not (mode is not None and (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode))):
            raise ValueError(f"{name} is neither a file, a pipe nor a character device: no picture is written to it")
        if not os.access(name, os.W_OK):
            raise PermissionError(13, "it may not be written to", name)
        return PictureOutput(name, format, None)
    target = Path(os.path.realpath(name))
    if not target.parent.is_dir():
        raise ValueError(f"{name}: there is no folder {target.parent}; make it first")
    try:
        check_writable(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error
    return PictureOutput(name, format, target)


def encode(pixels: np.ndarray, format: str) -> bytes:
    """A file of ``pixels`` uint8 [H, W, 3]: PNG, JPEG at quality 95 without chroma subsampling, or lossless WEBP."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format, **_SETTINGS[format])
    return stream.getvalue()
