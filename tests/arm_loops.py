# SPDX-License-Identifier: Apache-2.0
"""What llvm-mca says of the ARM kernels' loops: python tests/arm_loops.py [--asm].

Needs clang++, llvm-mca (of one release, --suffix -19 for Debian's clang-19) and the headers of g++-aarch64-linux-gnu.
The tile loop is the product; the unpack loop decodes a panel once for all tokens that pass it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

KERNELS = Path(__file__).parent.parent / "export/kernels"
SYSROOT = Path("/usr/aarch64-linux-gnu")
# Source, instruction, its multiply-adds, processor.
CASES = [
    ("dotprod", "sdot", 16, "cortex-a55"),
    ("dotprod", "sdot", 16, "cortex-a76"),
    ("dotprod", "sdot", 16, "neoverse-v1"),
    ("i8mm", "smmla", 32, "neoverse-n2"),
    ("i8mm", "smmla", 32, "cortex-x2"),
    ("i8mm", "smmla", 32, "neoverse-v1"),
]
MARCH = {"dotprod": "armv8.2-a+dotprod", "i8mm": "armv8.2-a+dotprod+i8mm"}


def run(command: list[str], text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def assembly(source: str, cpu: str, suffix: str) -> list[str]:
    includes = [SYSROOT / "include/c++", *sorted((SYSROOT / "include/c++").glob("*"))]
    includes += [folder / "aarch64-linux-gnu" for folder in includes[1:]] + [SYSROOT / "include"]
    flags = ["-O3", "-std=c++17", "-ffp-contract=off", f"-march={MARCH[source]}", f"-mtune={cpu}", "-S", "-o", "-"]
    search = [f"-isystem{folder}" for folder in includes] + [f"-I{KERNELS / folder}" for folder in ("include", "src")]
    target = ["--target=aarch64-linux-gnu", *flags, *search]
    return run([f"clang++{suffix}", *target, str(KERNELS / f"src/{source}.cpp")]).splitlines()


def innermost_loops(lines: list[str]) -> list[list[str]]:
    """The instructions of each loop whose body has no label."""
    labels: dict[str, int] = {}
    found = []
    for i, line in enumerate(lines):
        if label := re.match(r"(\.LBB\d+_\d+):", line):
            labels[label[1]] = i
        branch = re.search(r"\b(?:b\.\w+|cbn?z\s+\w+,)\s*(\.LBB\d+_\d+)", line)
        if branch and branch[1] in labels:
            body = lines[labels[branch[1]] + 1 : i + 1]
            if not any(line.startswith(".L") for line in body):
                found.append([line for line in body if re.match(r"\t[a-z]", line)])
    return found


def count(body: list[str], pattern: str) -> int:
    return sum(bool(re.search(rf"\t{pattern}\b", line)) for line in body)


def simulate(body: list[str], cpu: str, suffix: str, instruction: str) -> tuple[float, float]:
    """(cycles an iteration, reciprocal throughput of `instruction`)."""
    command = [f"llvm-mca{suffix}", "-mtriple=aarch64", f"-mcpu={cpu}", "-mattr=+dotprod,+i8mm", "-iterations=200"]
    report = run(command, "\n".join(body))
    cycles = re.search(r"Total Cycles:\s+(\d+)", report)
    cost = re.search(rf"^\s*\d+\s+\d+\s+([\d.]+).*\b{instruction}\b", report, re.MULTILINE)
    if not cycles or not cost:
        sys.exit(f"llvm-mca's report is not in a form that this script reads:\n{report[:2000]}")
    return int(cycles[1]) / 200, float(cost[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suffix", default="-19", help="of the programs' names: clang++SUFFIX")
    parser.add_argument("--asm", action="store_true", help="print the loops")
    arguments = parser.parse_args()
    print(
        "| kernel | processor model | products | instructions | cycles | of the issue limit | multiply-adds / instr. |"
    )
    print("|---|---|---|---|---|---|---|")
    for source, instruction, multiply_adds, cpu in CASES:
        loops = [body for body in innermost_loops(assembly(source, cpu, arguments.suffix)) if count(body, "ld[rp1]")]
        tile = max(loops, key=lambda body: count(body, instruction))
        products = count(tile, instruction)
        cycles, cost = simulate(tile, cpu, arguments.suffix, instruction)
        share, dense = 100 * products * cost / cycles, products * multiply_adds / len(tile)
        print(f"| {source} | {cpu} | {products} | {len(tile)} | {cycles:.1f} | {share:.0f} % | {dense:.1f} |")
        if arguments.asm:
            print("\n".join(tile))


if __name__ == "__main__":
    main()
