# SPDX-License-Identifier: Apache-2.0
"""Files of weights and configurations to networks.

One rule: every tensor and every field is used, known by name to be harmless, or refused by name with what to do.
"""

from hqdit_mobile.model.checkpoints.reading import CheckpointError

__all__ = ["CheckpointError"]
