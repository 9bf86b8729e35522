# SPDX-License-Identifier: Apache-2.0
"""Runs programs in the Debian 13 root that tests/tools/debian13_root.sh makes: Swift 6, clang 21, QEMU 11."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
ROOT = Path(os.environ.get("HQDIT_DEBIAN13") or "/var/cache/hqdit-mobile/debian13")
# Debian's /usr/bin/swift does not find its libraries: the programs are run where they are.
PATH = "/usr/libexec/swift/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# In a mount namespace of its own, which ends with the command: no mount is left behind, however the test ends.
ENTER = r"""
set -e
root=$1 count=$2; shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
for ((; count > 0; count--)); do
  mkdir -p "$root$1"
  mount --rbind "$1" "$root$1"
  shift
done
exec chroot "$root" /usr/bin/env -i "$@"
"""


def need_debian13() -> None:
    """Skips the test, with the reason, where the root cannot be used."""
    how = "make it with tests/tools/debian13_root.sh"
    if not (ROOT / "etc/hqdit-packages").is_file():
        pytest.skip(f"no Debian 13 root in {ROOT}: {how}")
    if os.geteuid() != 0:
        pytest.skip(f"only root can run programs in the Debian 13 root {ROOT}")
    if missing := [tool for tool in ("unshare", "chroot", "mount") if shutil.which(tool) is None]:
        pytest.skip(f"not found: {', '.join(missing)}")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("this system gives no mount namespace (unshare --mount)")


def run_in_debian13(
    *command: str | Path,
    cwd: Path = REPOSITORY,
    shared: tuple[Path, ...] = (),
    timeout: float = 600,
    **environment: str | Path,
) -> subprocess.CompletedProcess[str]:
    """Runs `command` there, as root; `environment` is all that it sees besides PATH, HOME and the locale.

    This repository, the folder for temporary files and the folders in `shared` have the same paths inside as outside.
    """
    folders = [*dict.fromkeys(map(str, (REPOSITORY, Path(tempfile.gettempdir()), *shared)))]
    settings = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8"} | environment
    inside = ["bash", "-c", 'cd "$0" && exec "$@"', cwd, *command]
    enter = ["unshare", "--mount", "bash", "-c", ENTER, "debian13", ROOT, str(len(folders)), *folders]
    arguments = [*enter, *(f"{name}={value}" for name, value in settings.items()), *inside]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=timeout, check=False)
