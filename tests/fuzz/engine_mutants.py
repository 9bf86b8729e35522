# SPDX-License-Identifier: Apache-2.0
"""Opens and draws with changed programs whose digests agree, as a stranger's bundle has them, and counts how it ends.

    python -I tests/fuzz/engine_mutants.py BUNDLE COUNT [SEED]

Half of the mutants have flipped bits anywhere in a program; half have another number somewhere in its tables or in one
of XNNPACK's graphs. Each is opened and, if it passes the checks, runs one guided step and a decode under a memory
limit. A process that dies is counted, its mutant named SEED-NUMBER, and the next process goes on behind it.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

SLOW_SECONDS = 2.0


def numbers(data: bytes, start: int, size: int) -> list[tuple[int, int]]:
    """(offset, bytes) of what can be reached from the flatbuffer that begins at ``start``, whatever its schema."""
    found: list[tuple[int, int]] = []
    seen: set[int] = set()
    end = start + size

    def read(format: str, at: int) -> int:
        return struct.unpack_from(format, data, at)[0] if start <= at <= end - struct.calcsize(format) else 0

    def table(at: int, depth: int) -> None:
        if depth > 14 or at in seen or not start <= at < end - 4:
            return
        seen.add(at)
        fields = at - read("<i", at)
        count, whole = read("<H", fields), read("<H", fields + 2)
        if not (4 <= count <= 256 and count % 2 == 0 and 4 <= whole <= end - at and start <= fields < end):
            return
        for entry in range(4, count, 2):
            within = read("<H", fields + entry)
            if not 4 <= within < whole:
                continue
            found.append((at + within, 1 if within % 4 else 4))
            if within % 4 == 0:
                vector = at + within + read("<I", at + within)
                table(vector, depth + 1)
                items = read("<I", vector)
                if 0 < items <= 4096 and vector + 4 + 4 * items <= end:
                    for place in range(vector + 4, vector + 4 + 4 * items, 4):
                        found.append((place, 4))
                        table(place + read("<I", place), depth + 1)

    table(start + read("<I", start), 0)
    return found


def places(data: bytes) -> list[list[tuple[int, int]]]:
    """Of the program and of each of XNNPACK's graphs."""
    program_bytes = struct.unpack_from("<Q", data, 16)[0]
    groups = [numbers(data, 0, program_bytes)]
    for match in re.finditer(b"XH00", data[program_bytes:]):
        header = program_bytes + match.start() - 4
        offset, size = struct.unpack_from("<II", data, header + 10)
        groups.append(numbers(data, header + offset, size))
    return [group for group in groups if group]


def mutant(good: bytes, groups: list[list[tuple[int, int]]], draw: random.Random) -> bytes:
    data = bytearray(good)
    if draw.random() < 0.5:
        for _ in range(draw.choice([1, 1, 4, 16])):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        return bytes(data)
    group = groups[0] if draw.random() < 0.5 else draw.choice(groups)
    for _ in range(draw.choice([1, 1, 2])):
        at, width = draw.choice(group)
        old = int.from_bytes(data[at : at + width], "little")
        twin, twin_width = draw.choice(group)
        new = draw.choice(
            [0, 1, 2, 3, 16, 255, old + 1, old - 1, old * 2, old // 2, old + 4, 2**31 - 1, 2**31, 2**32 - 1, 1 << 20]
            + [int.from_bytes(data[twin : twin + twin_width], "little")] * 6
        )
        data[at : at + width] = (new % 2 ** (8 * width)).to_bytes(width, "little")
    return bytes(data)


def work(bundle: Path, seed: int, first: int, count: int) -> None:
    """Prints a line before and after each mutant."""
    from hqdit_mobile.runtime.engine import EngineError, Pipeline

    files = {name: (bundle / name).read_bytes() for name in ("transformer.pte", "vae_decoder.pte")}
    groups = {name: places(data) for name, data in files.items()}
    memory = json.loads((bundle / "manifest.json").read_text())["memory"]
    limit = max(memory["peak_bytes"], memory["arena_bytes"]) + (64 << 20)
    for number in range(first, count):
        draw = random.Random(f"{seed} {number}")
        name = draw.choice(sorted(files))
        (bundle / name).write_bytes(mutant(files[name], groups[name], draw))
        print("begin", number, flush=True)
        start = time.monotonic()
        try:
            with Pipeline(bundle, verify_sha256=False, threads=1, memory_limit_bytes=limit) as pipeline:
                pipeline.generate(0, steps=1)
            outcome = "drew"
        except EngineError as error:
            outcome = re.search(r"\[HQDIT_(\w+)\]$", str(error))[1]
        slow = time.monotonic() - start > SLOW_SECONDS
        print("end", number, "slow" if slow else "quick", outcome, flush=True)
        (bundle / name).write_bytes(files[name])


def main() -> None:
    bundle, count = Path(sys.argv[1]), int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        following = 0
        while following < count:
            copy = Path(folder) / "bundle"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(bundle, copy)
            command = [sys.executable, "-I", __file__, "--work", copy, str(seed), str(following), str(count)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            begun = following - 1
            for line in process.stdout or ():
                words = line.split()
                begun = int(words[1])
                if words[0] == "end":
                    outcomes[words[3]] += 1
                    outcomes["slow"] += words[2] == "slow"
                    following = begun + 1
            if process.wait() != 0:
                if begun < following:
                    sys.exit(f"the process ended with {process.returncode} before it tried anything")
                outcomes["DIED"] += 1
                print(f"died with {process.returncode}: {seed}-{begun}", flush=True)
                following = begun + 1
    print(json.dumps(outcomes))


if __name__ == "__main__":
    if sys.argv[1] == "--work":
        work(Path(sys.argv[2]), *map(int, sys.argv[3:]))
        os._exit(0)
    main()
