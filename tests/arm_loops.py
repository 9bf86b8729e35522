# SPDX-License-Identifier: Apache-2.0
"""What llvm-mca says of the ARM kernels' loops: python tests/arm_loops.py [--peer LIBRARY] [--asm].

Needs clang++, llvm-mca and llvm-objdump (of one release, --suffix -19 for Debian's clang-19) and the headers of
g++-aarch64-linux-gnu. The tile loop is the product; that of decode_rhs_panel runs once for all tokens that pass.
A peer's library, such as executorch/lib/libexecutorch_backend_xnnpack.so of ExecuTorch's ARM64 package, is searched for
loops of the same instructions: for each processor the one with the fewest cycles is shown, of loops that take 8-bit
weights as they are and of those that take 4-bit weights apart.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

KERNELS = Path(__file__).parent.parent / "export/kernels"
SYSROOT = Path("/usr/aarch64-linux-gnu")
MARCH = {"scalar": "armv8-a", "neon": "armv8-a", "dotprod": "armv8.2-a+dotprod", "i8mm": "armv8.2-a+dotprod+i8mm"}
# Source, instruction, its multiply-adds, processors.
CASES = [
    ("scalar", r"smull2?\tv\d+\.8h", 8, ["cortex-a53", "cortex-a72"]),
    ("neon", r"sm(?:lal|ull)2?\tv\d+\.8h", 8, ["cortex-a53", "cortex-a72", "apple-a12"]),
    ("dotprod", r"sdot", 16, ["cortex-a55", "cortex-a76", "cortex-x2", "neoverse-v1"]),
    ("i8mm", r"smmla", 32, ["cortex-x2", "neoverse-n2", "neoverse-v1"]),
]
# So many products are simulated, whatever a loop's length, that the first cycles do not count.
PRODUCTS = 10_000


@dataclass
class Loop:
    name: str
    body: list[str]  # "\tinstruction\toperands"

    def count(self, pattern: str) -> int:
        return sum(bool(re.match(rf"\t(?:{pattern})\b", line)) for line in self.body)

    @property
    def takes_nibbles_apart(self) -> bool:
        return any(re.match(r"\t(?:shl|ushr|sshr|and)\tv.*\.16b", line) for line in self.body)


def run(command: list[str], text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def compiled_loops(source: str, cpu: str, suffix: str) -> list[Loop]:
    """The innermost loops of a kernel of ours that load something and decode nothing."""
    includes = [SYSROOT / "include/c++", *sorted((SYSROOT / "include/c++").glob("*"))]
    includes += [folder / "aarch64-linux-gnu" for folder in includes[1:]] + [SYSROOT / "include"]
    flags = [
        "-O3",
        "-std=c++17",
        "-ffp-contract=off",
        f"-march={MARCH[source]}",
        f"-mtune={cpu}",
        "-S",
        "-o",
        "-",
        "-DHQDIT_ARM64",
    ]
    search = [f"-isystem{folder}" for folder in includes] + [f"-I{KERNELS / folder}" for folder in ("include", "src")]
    command = [f"clang++{suffix}", "--target=aarch64-linux-gnu", *flags, *search]
    folder = "gemm" if source == "scalar" else "arch/arm"
    lines = run([*command, str(KERNELS / f"src/{folder}/{source}.cpp")]).splitlines()
    labels: dict[str, int] = {}
    found = []
    for i, line in enumerate(lines):
        # clang's own labels and, in assembly of the source, .Ltmp.
        if label := re.match(r"(\.L(?:BB\d+_|tmp)\d+):", line):
            labels[label[1]] = i
        branch = re.search(r"\b(?:b\.\w+|cbn?z\s+\w+,)\s*(\.L\w+)", line)
        if branch and branch[1] in labels:
            body = lines[labels[branch[1]] + 1 : i + 1]
            if not any(line.startswith(".L") for line in body):
                found.append(Loop(source, [line for line in body if re.match(r"\t[a-z]", line)]))
    return [loop for loop in found if loop.count("ld[rp1]") and not loop.count("tbl")]


def tile_loop(source: str, instruction: str, cpu: str, suffix: str) -> Loop:
    """The one with the most products."""
    return max(compiled_loops(source, cpu, suffix), key=lambda loop: loop.count(instruction))


def share_of_limit(loop: Loop, instruction: str, cpu: str, suffix: str) -> float:
    """How near a loop comes to what the processor can start of its products alone."""
    return issue_cost(loop, instruction, cpu, suffix) / cycles(loop, instruction, cpu, suffix)


def library_loops(library: Path, suffix: str) -> list[Loop]:
    """The innermost loops of a library."""
    listing = run([f"llvm-objdump{suffix}", "-d", "--no-show-raw-insn", "--mattr=+all", str(library)])
    lines = re.findall(r"^ *([0-9a-f]+):\s+(\S+)(?:\t([^/<\n]*))?", listing, re.MULTILINE)
    place = {int(address, 16): i for i, (address, _, _) in enumerate(lines)}
    found = []
    for i, (address, instruction, operands) in enumerate(lines):
        target = re.search(r"0x([0-9a-f]+)", operands)
        if not target or not re.match(r"b\.|cbn?z|tbn?z", instruction) or int(target[1], 16) not in place:
            continue
        start = place[int(target[1], 16)]
        inside = lines[start:i]
        if start > i or any(re.match(r"(b|bl|br|blr|ret|cbn?z|tbn?z)$|b\.", name) for _, name, _ in inside):
            continue
        body = [f"\t{name}\t{rest.strip()}" for _, name, rest in inside] + ["\tb.ne\t."]
        found.append(Loop(f"{library.name} at {address}", body))
    return found


def cycles(loop: Loop, instruction: str, cpu: str, suffix: str) -> float:
    """A loop's cycles for one product, all else in it included."""
    products = loop.count(instruction)
    rounds = max(1, PRODUCTS // products)
    command = [f"llvm-mca{suffix}", "-mtriple=aarch64", f"-mcpu={cpu}", "-mattr=+dotprod,+i8mm"]
    report = run([*command, f"-iterations={rounds}"], "\n".join(loop.body))
    total = re.search(r"Total Cycles:\s+(\d+)", report)
    if not total:
        sys.exit(f"llvm-mca's report is not in a form that this script reads:\n{report[:2000]}")
    return int(total[1]) / rounds / products


def issue_cost(loop: Loop, instruction: str, cpu: str, suffix: str) -> float:
    """Cycles between the starts of two products, and nothing else: the limit."""
    lines = [line for line in loop.body if re.match(rf"\t(?:{instruction})\b", line)]
    command = [f"llvm-mca{suffix}", "-mtriple=aarch64", f"-mcpu={cpu}", "-mattr=+dotprod,+i8mm", "-iterations=1"]
    cost = re.search(r"^\s*\d+\s+\d+\s+([\d.]+)", run(command, lines[0]).split("Instructions:\n")[1], re.MULTILINE)
    return float(cost[1]) if cost else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suffix", default="-19", help="of the programs' names: clang++SUFFIX")
    parser.add_argument("--peer", type=Path, help="a library for ARM64")
    parser.add_argument("--asm", action="store_true", help="print our loops")
    arguments = parser.parse_args()
    suffix = arguments.suffix
    peers = library_loops(arguments.peer, suffix) if arguments.peer else []
    print("| loop | weights | processor model | cycles | of the issue limit | instructions | loop's products |")
    print("|---|---|---|---|---|---|---|")
    for source, instruction, multiply_adds, processors in CASES:
        # Rests and single rows have few products; streaming mode's instructions are no processor's here.
        rivals = [loop for loop in peers if loop.count(instruction) >= 16 and not any("\tz" in x for x in loop.body)]
        for cpu in processors:
            ours = tile_loop(source, instruction, cpu, suffix)
            shown = [(source, "8-bit, decoded", ours)]
            for nibbles in (False, True):
                same = [loop for loop in rivals if loop.takes_nibbles_apart == nibbles]
                if same:
                    best = min(same, key=lambda loop: cycles(loop, instruction, cpu, suffix))
                    shown.append((best.name, "4-bit" if nibbles else "8-bit", best))
            for name, weights, loop in shown:
                each = cycles(loop, instruction, cpu, suffix)
                share = 100 * share_of_limit(loop, instruction, cpu, suffix)
                products = loop.count(instruction)
                per = 1000 / multiply_adds
                dense = per * len(loop.body) / products
                print(f"| {name} | {weights} | {cpu} | {per * each:.2f} | {share:.0f} % | {dense:.1f} | {products} |")
                if arguments.asm and loop is ours:
                    print("\n".join(loop.body))
    print("\nCycles and instructions for 1,000 multiply-adds.")


if __name__ == "__main__":
    main()
