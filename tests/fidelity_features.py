# SPDX-License-Identifier: Apache-2.0
"""A small feature extractor, registered with torch-fidelity as its users would: no weights to download."""

import torch
import torch.nn.functional as F
import torch_fidelity

NAME = "hqdit-test"


class PooledColours(torch_fidelity.FeatureExtractorBase):
    """features: colours of 2 x 2 fields [n, 12]; logits: six of them, scaled."""

    def __init__(self, name, features_list, **_):
        super().__init__(name, features_list)

    @staticmethod
    def get_provided_features_list():
        return "features", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "logits" if metric == "isc" else "features"

    def forward(self, images):
        pooled = features(images)
        return tuple({"features": pooled, "logits": pooled[:, :6] * 8}[name] for name in self.features_list)


def features(images: torch.Tensor) -> torch.Tensor:
    """images uint8 [n, 3, H, W] -> float64 [n, 12]."""
    return F.adaptive_avg_pool2d(images.double() / 255, 2).flatten(1)


torch_fidelity.register_feature_extractor(NAME, PooledColours)
