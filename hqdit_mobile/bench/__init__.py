# SPDX-License-Identifier: Apache-2.0
"""``hqdit bench``: our operator and our models against other runtimes, measured side by side in one run."""
