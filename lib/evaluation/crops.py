"""Probabilities of an image from one or more views of it."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def log_probabilities(logits_of: Callable[[Tensor], Tensor], params_C3: Tensor, n_images: int) -> Tensor:
    """The logarithm of the mean of the probabilities that each view gives, float64 (B, K).

    ``logits_of`` takes params (B, 3), here the same one for each of the ``n_images``, and gives logits (B, K).
    In float64, so that classes whose logits differ do not become equal.
    """
    per_view = [logits_of(view.expand(n_images, -1)).double().log_softmax(1) for view in params_C3]
    return torch.stack(per_view).logsumexp(0) - math.log(len(per_view))
