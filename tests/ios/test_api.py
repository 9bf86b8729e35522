# SPDX-License-Identifier: Apache-2.0
"""The Swift library and the Kotlin library have the same API, but for what their languages do in their own ways."""

import re

import pytest
from ios_checks import DEMO

SWIFT = DEMO / "HqDit/Sources/HqDit"
KOTLIN = DEMO.parent / "android_demo/hqdit/src/main/kotlin/hqdit/mobile"
# HqDit.Companion.openIsolated: iOS has no such process.
ISOLATED = {"Companion"}
# Kotlin's type and Swift's; names that differ; what only Kotlin has, and only Swift.
TYPES = {
    "HqDit": ("HqDit", {"open": "init", "generationFlow": "events"}, {"cancel"} | ISOLATED, {"unownedExecutor"}),
    "OpenOptions": ("OpenOptions", {"verifySha256": "verifySHA256"}, set(), set()),
    "MemoryEstimate": ("MemoryEstimate", {}, set(), set()),
    "ModelInfo": ("ModelInfo", {}, set(), set()),
    "LabelSearch": ("LabelSearch", {}, set(), set()),
    "GenerationRequest": ("GenerationRequest", {}, set(), set()),
    "Progress": ("GenerationProgress", {"guided": "isGuided"}, set(), set()),
    "GenerationResult": ("GenerationResult", {}, set(), set()),
    # Each makes what its system's pictures are made of; Android writes PNG files itself.
    "Picture": ("Picture", {}, {"toArgb"}, {"cgImage", "png"}),
}
ENUMS = {
    "Scheduler": ("Scheduler", {}),
    "LoadMode": ("LoadMode", {"mmap": "map"}),
    "Phase": ("Phase", {}),
}


def bodies(text: str, start: str) -> str:
    """What is inside the round and curly brackets after each match of `start`."""
    found = ""
    for match in re.finditer(start, text):
        depth = 0
        for bracket in re.finditer(r"[(){}]", text[match.end() :]):
            depth += 1 if bracket[0] in "({" else -1
            end = match.end() + bracket.end()
            # A class's brackets come after its constructor's.
            if depth == 0 and not (bracket[0] == ")" and re.match(r"\s*(:[^({]*)?[({]", text[end:])):
                found += text[match.end() : end]
                break
    return found


def sources(folder, pattern: str) -> str:
    text = "\n".join(path.read_text() for path in sorted(folder.glob(pattern)))
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)


def without(text: str, nested: str) -> str:
    """`text` without the types in it."""
    for match in list(re.finditer(nested, text)):
        text = text.replace(bodies(match[0] + text[match.end() :], re.escape(match[0])), "")
    return text


def kotlin_members(name: str) -> set[str]:
    text = sources(KOTLIN, "*.kt")
    body = bodies(text, rf"\bclass {name}\b")
    found = set(re.findall(r"\b(?:public|override) (?:val|fun) (\w+)", body))
    if re.search(rf"\bdata class {name}\b", text):
        found |= set(re.findall(r"^\s*val (\w+):", body, re.M))
    found |= set(re.findall(rf"\bpublic fun {name}\.(\w+)", text))
    return found


def swift_members(name: str) -> set[str]:
    text = sources(SWIFT, "*.swift")
    body = bodies(text, rf"\b(?:struct|actor|extension) {name}\b[^{{]*(?={{)")
    body = without(body, r"\b(?:enum|struct) \w+[^{]*(?={)")
    found = set(re.findall(r"\bpublic (?:nonisolated |static )*(?:let|var|func) (\w+)", body))
    return found | ({"init"} if "public init(bundle:" in body else set())


@pytest.mark.parametrize("kotlin", TYPES)
def test_types_have_the_same_members(kotlin):
    swift, renamed, only_kotlin, only_swift = TYPES[kotlin]
    ours = kotlin_members(kotlin)
    assert only_kotlin <= ours and set(renamed) <= ours, ours
    expected = {renamed.get(name, re.sub("Millis$", "Time", name)) for name in ours - only_kotlin} | only_swift
    assert swift_members(swift) == expected and len(expected) >= 2


@pytest.mark.parametrize("name", ENUMS)
def test_enums_have_the_same_values(name):
    swift, renamed = ENUMS[name]
    kotlin = re.findall(r"^\s*([A-Z][A-Z_]*)[,\s]", bodies(sources(KOTLIN, "*.kt"), rf"\benum class {name}\b"), re.M)
    camel = [re.sub("_(.)", lambda match: match[1].upper(), value.lower()) for value in kotlin]
    values = re.findall(r"\bcase (\w+) =", bodies(sources(SWIFT, "*.swift"), rf"\benum {swift}\b[^{{]*(?={{)"))
    assert [renamed.get(value, value) for value in camel] == values and len(values) >= 2


def test_errors_have_the_same_kinds():
    """Swift has an error of its own for what was cancelled; where Kotlin's calls of a closed model are a mistake of the
    program, Swift's can come from a task that closing overtook."""
    body = bodies(sources(KOTLIN, "*.kt"), r"sealed class HqDitException\b")
    kotlin = {name[0].lower() + name[1:] for name in re.findall(r"public class (\w+)\(message", body)}
    body = bodies(sources(SWIFT, "*.swift"), r"\benum HqDitError\b[^{]*(?={)")
    swift = set(re.findall(r"^\s*case (\w+)", body.partition("static func")[0], re.M))
    assert kotlin - {"cancelled", "internal", "processDied"} == swift - {"closed", "internalFault"} and len(swift) >= 10
