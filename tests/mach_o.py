# SPDX-License-Identifier: Apache-2.0
"""Reads what the tests ask of Apple's object files and libraries (mach-o/loader.h and nlist.h, 64 bits)."""

import struct
from dataclasses import dataclass, field
from pathlib import Path

MAGIC = 0xFEEDFACF
LC_SYMTAB, LC_BUILD_VERSION = 0x2, 0x32
N_STAB, N_PEXT, N_TYPE, N_EXT = 0xE0, 0x10, 0x0E, 0x01
PLATFORMS = {1: "macos", 2: "ios", 7: "ios-simulator"}


@dataclass
class MachO:
    platform: str = ""
    minimum: str = ""
    exported: set[str] = field(default_factory=set)
    undefined: set[str] = field(default_factory=set)


def read(file: Path) -> MachO:
    data = file.read_bytes()
    magic, _, _, _, commands, _, _, _ = struct.unpack_from("<8I", data)
    assert magic == MAGIC, f"{file} is no 64-bit Mach-O file"
    found, offset = MachO(), 32
    for _ in range(commands):
        command, size = struct.unpack_from("<2I", data, offset)
        if command == LC_BUILD_VERSION:
            platform, minimum = struct.unpack_from("<2I", data, offset + 8)
            found.platform = PLATFORMS[platform]
            found.minimum = f"{minimum >> 16}.{minimum >> 8 & 255}"
        elif command == LC_SYMTAB:
            symbols, count, strings, _ = struct.unpack_from("<4I", data, offset + 8)
            for index in range(count):
                name, kind, _, _, _ = struct.unpack_from("<IBBHQ", data, symbols + 16 * index)
                if kind & N_STAB or not kind & N_EXT or kind & N_PEXT:
                    continue
                start = strings + name
                text = data[start : data.index(b"\0", start)].decode()
                (found.exported if kind & N_TYPE else found.undefined).add(text)
        offset += size
    return found
