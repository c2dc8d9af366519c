"""Class probabilities of an image, averaged over one or more crops."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def describe_input(img_size: int, crop: int) -> str:
    """Return in a few words how a picture becomes a network's input."""
    return f"images are resized to {img_size} x {img_size}, and the network sees {crop} x {crop} of them"


def log_probabilities(logits_of: Callable[[Tensor], Tensor], params_C3: Tensor, n_images: int) -> Tensor:
    """Return the logarithm of the probabilities, averaged over the crops ``params_C3``: float64 (B, K).

    ``logits_of`` maps crop parameters (B, 3), here the same ones for all ``n_images``, to logits (B, K). float64 keeps
    classes whose logits differ from becoming equal.
    """
    per_crop = [logits_of(crop.expand(n_images, -1)).double().log_softmax(1) for crop in params_C3]
    return torch.stack(per_crop).logsumexp(0) - math.log(len(per_crop))
