# SPDX-License-Identifier: Apache-2.0
"""Reads the classes and methods of a DEX file, after "Dalvik executable format" of the Android documentation."""

import struct
from typing import NamedTuple

NATIVE = 0x100
STATIC = 0x8


class Method(NamedTuple):
    name: str
    descriptor: str
    flags: int


def uleb128(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def classes(data: bytes) -> dict[str, list[Method]]:
    """The methods that each class of the file defines, by its descriptor, such as Lhqdit/mobile/Native;."""
    assert data[:4] == b"dex\n"

    def table(field: int, form: str) -> list[tuple[int, ...]]:
        count, start = struct.unpack_from("<II", data, field)
        return [struct.unpack_from(form, data, start + i * struct.calcsize(form)) for i in range(count)]

    def text(offset: int) -> str:
        start = uleb128(data, offset)[1]
        return data[start : data.index(0, start)].decode(errors="replace")

    def parameters(offset: int) -> str:
        if offset == 0:
            return ""
        (count,) = struct.unpack_from("<I", data, offset)
        return "".join(types[i] for i in struct.unpack_from(f"<{count}H", data, offset + 4))

    strings = [text(offset) for (offset,) in table(0x38, "<I")]
    types = [strings[i] for (i,) in table(0x40, "<I")]
    descriptors = [f"({parameters(offset)}){types[result]}" for _, result, offset in table(0x48, "<III")]
    methods = [(strings[name], descriptors[proto]) for _, proto, name in table(0x58, "<HHI")]
    defined = {types[row[0]]: row[6] for row in table(0x60, "<8I")}

    def of_class(at: int) -> list[Method]:
        if at == 0:
            return []
        counts = []
        for _ in range(4):
            count, at = uleb128(data, at)
            counts.append(count)
        for _ in range(2 * (counts[0] + counts[1])):
            _, at = uleb128(data, at)
        found = []
        for count in counts[2:]:
            index = 0
            for _ in range(count):
                step, at = uleb128(data, at)
                flags, at = uleb128(data, at)
                _, at = uleb128(data, at)
                index += step
                found.append(Method(*methods[index], flags))
        return found

    return {name: of_class(at) for name, at in defined.items()}
