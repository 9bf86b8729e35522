# SPDX-License-Identifier: Apache-2.0
"""What the emoji classifier says of images: only for models that draw emoji-dit's classes."""

from __future__ import annotations

import numpy as np
import torch

from hqdit_mobile.evaluate.emoji_eval import EmojiClassifier, load_classifier
from hqdit_mobile.model.loading import LoadedModel, builtin_classes

EMOJI = "emoji-dit"
IMAGE_SIZE = 128
BATCH = 32


class EmojiJudge:
    """Features and right answers. ``labels``: emoji-dit's, "semantic-class style", in the classifier's order."""

    def __init__(self, labels: list[str], device: torch.device):
        self.semantic, self.style = (list(dict.fromkeys(names)) for names in zip(*map(_split, labels), strict=True))
        self.labels, self.device = labels, device
        self.classifier: EmojiClassifier = load_classifier().to(device)

    @torch.no_grad()
    def judge(self, images: np.ndarray, classes: list[int]) -> dict[str, np.ndarray]:
        """images uint8 [n, 128, 128, 3] -> features float32 [n, 256], semantic and style bool [n]: recognised."""
        parts = []
        for start in range(0, len(images), BATCH):
            pixels = torch.from_numpy(images[start : start + BATCH]).to(self.device).permute(0, 3, 1, 2)
            parts.append([output.cpu().numpy() for output in self.classifier(pixels.float() / 127.5 - 1)])
        features, semantic, style = (np.concatenate(outputs) for outputs in zip(*parts, strict=True))
        wanted = [_split(self.labels[i]) for i in classes]
        return {
            "features": features,
            "semantic": semantic.argmax(axis=1) == [self.semantic.index(kind) for kind, _ in wanted],
            "style": style.argmax(axis=1) == [self.style.index(style) for _, style in wanted],
        }


def _split(label: str) -> tuple[str, str]:
    kind, style = label.rsplit(" ", 1)
    return kind, style


def emoji_judge(model: LoadedModel) -> EmojiJudge | None:
    """None for a model that draws something else."""
    return judge_of_labels(model.labels, model.image_size, next(model.dit.parameters()).device)


def judge_of_labels(labels: list[str], image_size: int, device: torch.device) -> EmojiJudge | None:
    """None for classes that are not emoji-dit's."""
    if image_size != IMAGE_SIZE or labels != [*builtin_classes(EMOJI)]:
        return None
    return EmojiJudge(labels, device)


def class_weights_of(labels: list[str]) -> list[int]:
    """LoadedModel.class_weights of a model of which only the classes are known."""
    emoji = builtin_classes(EMOJI)
    return [*emoji.values()] if labels == [*emoji] else [1] * len(labels)
