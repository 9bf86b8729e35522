# SPDX-License-Identifier: Apache-2.0
"""Where the numbers of a flatbuffer lie, to change one in place: what no verifier of its structure can see."""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass
class Place:
    """A number of a buffer."""

    data: bytearray
    offset: int
    format: str  # of struct

    @property
    def value(self) -> int:
        return struct.unpack_from(self.format, self.data, self.offset)[0]

    @value.setter
    def value(self, value: int) -> None:
        struct.pack_into(self.format, self.data, self.offset, value)


@dataclass
class Table:
    """A table of the flatbuffer that begins at byte ``start`` of ``data``. Fields go by their number in the schema."""

    data: bytearray
    offset: int

    @staticmethod
    def root(data: bytearray, start: int = 0) -> Table:
        return Table(data, start + struct.unpack_from("<I", data, start)[0])

    def number(self, field: int, format: str = "<I") -> Place:
        """Raises KeyError if the field has its default, which is not stored."""
        fields = self.offset - struct.unpack_from("<i", self.data, self.offset)[0]
        entry = 4 + 2 * field
        within = 0
        if entry < struct.unpack_from("<H", self.data, fields)[0]:
            within = struct.unpack_from("<H", self.data, fields + entry)[0]
        if within == 0:
            raise KeyError(field)
        return Place(self.data, self.offset + within, format)

    def _target(self, field: int) -> int:
        place = self.number(field)
        return place.offset + place.value

    def table(self, field: int) -> Table:
        return Table(self.data, self._target(field))

    def numbers(self, field: int, format: str = "<I") -> list[Place]:
        begin = self._target(field)
        (count,) = struct.unpack_from("<I", self.data, begin)
        width = struct.calcsize(format)
        return [Place(self.data, begin + 4 + i * width, format) for i in range(count)]

    def tables(self, field: int) -> list[Table]:
        return [Table(self.data, place.offset + place.value) for place in self.numbers(field)]


def xnnpack_graphs(program: bytearray) -> list[Table]:
    """The root tables of all XNNPACK graphs in a .pte, in the order of their segments."""
    (base,) = struct.unpack_from("<Q", program, 24)
    found = []
    for segment in Table.root(program).tables(4):
        try:
            start = base + segment.number(0, "<Q").value
        except KeyError:
            start = base
        if program[start + 4 : start + 8] == b"XH00":
            found.append(Table.root(program, start + struct.unpack_from("<I", program, start + 10)[0]))
    return found
