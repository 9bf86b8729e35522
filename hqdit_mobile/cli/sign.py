# SPDX-License-Identifier: Apache-2.0
"""``hqdit sign``: makes keys, signs bundles."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from hqdit_mobile.cli.console import say


def run_sign(bundle: Path | None, key: Path | None, new_key: Path | None) -> None:
    """Prints the public key on standard output, the rest beside it. Raises BundleError if a file was changed."""
    from hqdit_mobile.runtime.documents import check_digests
    from hqdit_mobile.runtime.manifest_file import read_manifest, read_manifest_text
    from hqdit_mobile.runtime.signature import make_private_key, public_key_of, read_private_key, write_signature

    if (key is None) == (new_key is None):
        raise ValueError("give the private key with --key, or make one with --new-key")
    console = Console(stderr=True)
    uncovered: list[str] = []
    if bundle is not None:
        manifest, text = read_manifest(bundle), read_manifest_text(bundle)
        uncovered = check_digests(bundle, manifest)  # a signature says that the files are right
    if new_key is not None:
        private = make_private_key(new_key)
        say(console, f"{new_key} is a new private key: whoever has it can sign in your name")
    elif key is not None:
        private = read_private_key(key)
    if bundle is not None:
        write_signature(bundle, private, text)
        say(console, f"{bundle} is signed; its users verify that with this public key:")
        for name in uncovered:
            say(console, f"not covered, since manifest.json does not know it: {name}")
    say(Console(), public_key_of(private))
