# SPDX-License-Identifier: Apache-2.0
"""Draws from bundles. Imports no torch."""
