# SPDX-License-Identifier: Apache-2.0
"""The texts of the app that are translated: in its Swift, and in its String Catalog."""

import json
import re
from pathlib import Path

from ios_checks import DEMO

CATALOG = DEMO / "Resources/Localizable.xcstrings"
# What takes a LocalizedStringKey or a LocalizedStringResource as its first argument, or as the one named here.
CALLS = (
    r"Text|Label|Button|Section|DisclosureGroup|LabeledContent|TextField|ProgressView|navigationTitle|figure"
    r"|accessibilityLabel|accessibilityValue|accessibilityHint|String\(localized:|prompt:"
    r"|title:|IntentDescription|LocalizedStringResource ="
)
LITERAL = re.compile(rf'\b(?:{CALLS})\(?\s*"((?:[^"\\]|\\.)*)"')
RETURNED = re.compile(r'case \.\w+(?:\([^)]*\))?: "((?:[^"\\]|\\.)*)"')


def in_sources() -> set[str]:
    """Each with % for what is put in."""
    found: set[str] = set()
    for file in DEMO.glob("App/*.swift"):
        text = file.read_text()
        literals = LITERAL.findall(text)
        if re.search("LocalizedString(Key|Resource) {", text):
            literals += RETURNED.findall(text)
        found |= {re.sub(r"\\\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)", "%", literal) for literal in literals}
    return found


def in_catalog(file: Path = CATALOG) -> set[str]:
    return {re.sub(r"%(lld|@)", "%", key) for key in json.loads(file.read_text())["strings"]}
