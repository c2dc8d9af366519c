"""LeNet as in Caffe's MNIST example: the LeNet-5 of LeCun et al. (1998) with ReLU and max pooling."""

from torch import nn

from .layers import FeatureClassifier, flat_length


class LeNet(FeatureClassifier):
    """Images (B, 3, crop, crop) to logits (B, n_classes)."""

    def __init__(self, n_classes: int, crop: int) -> None:
        features = nn.Sequential(nn.Conv2d(3, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2))
        hidden = nn.Linear(flat_length(features, crop), 500)
        super().__init__(features, nn.Sequential(hidden, nn.ReLU(), nn.Linear(500, n_classes)))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                # Caffe's xavier filler, U(-sqrt(3 / fan-in), sqrt(3 / fan-in)).
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="linear")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
