# SPDX-License-Identifier: Apache-2.0
"""``python -m hqdit_mobile`` is ``hqdit``."""

from hqdit_mobile.cli.main import main

main(prog_name="python -m hqdit_mobile")
