# SPDX-License-Identifier: Apache-2.0
"""From float weights to FP4: calibration, GPTQ, learned scales."""
