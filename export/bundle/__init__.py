# SPDX-License-Identifier: Apache-2.0
"""The folder that an app loads: job, manifest, parity, report."""
