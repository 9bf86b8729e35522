# SPDX-License-Identifier: Apache-2.0
"""From the quantized model to ONNX."""
