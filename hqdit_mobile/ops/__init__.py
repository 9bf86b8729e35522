# SPDX-License-Identifier: Apache-2.0
"""The operators: definition, torch registration, kernels."""
