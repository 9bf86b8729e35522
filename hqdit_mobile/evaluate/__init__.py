# SPDX-License-Identifier: Apache-2.0
"""``hqdit evaluate``: draws many images with each candidate and says how far they are from the float model's."""
