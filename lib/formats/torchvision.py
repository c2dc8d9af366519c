"""The weights that torchvision publishes, as ``model.weights: torchvision`` names them.

torchvision knows where they are, and PyTorch's own cache keeps them, so a file that is there already is not fetched
again. The file is read as any other one, without running code in it.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch

from ..errors import WeightsError

# The same networks, with the same parameters under the same names, in this program and in torchvision.
NETWORKS = {
    "alexnet_owt": "alexnet",
    "vgg_a": "vgg11",
    "vgg_b": "vgg13",
    "vgg_d": "vgg16",
    "vgg_e": "vgg19",
    "squeezenet_v1_0": "squeezenet1_0",
    "squeezenet_v1_1": "squeezenet1_1",
    **{f"resnet{layers}": f"resnet{layers}" for layers in (18, 34, 50, 101, 152)},
}


def is_published(weights: object) -> bool:
    """Return whether ``weights`` is "torchvision", or "torchvision:" and the name of some of its weights."""
    return str(weights).partition(":")[0] == "torchvision"


def fetch(weights: str | Path, network: str) -> Path:
    """Return the file of published weights of ``network``, a name in lib/models/registry.py; download it if needed.

    "torchvision" means its best weights, "torchvision:IMAGENET1K_V1" those of this name. Raises WeightsError if
    torchvision is missing or has no such weights, or if they cannot be downloaded.
    """
    url: str = published(weights, network).url
    name = Path(urlparse(url).path).name
    path = Path(torch.hub.get_dir(), "checkpoints", name)
    if path.is_file():
        return path
    checksum = re.search(r"-([0-9a-f]{8,})\.", name)
    print(f"downloading {url} to {path}", flush=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, os.fspath(path), checksum and checksum[1], progress=sys.stderr.isatty())
    except (OSError, RuntimeError) as error:  # RuntimeError: the checksum is another one
        raise WeightsError(
            f"{url} cannot be downloaded: {error}; check the network, or copy the file to {path} from another machine"
        ) from None
    return path


def published(weights: str | Path, network: str) -> Any:
    """Return torchvision's entry for these weights of ``network``: url and meta. Raises WeightsError."""
    if network not in NETWORKS:
        raise WeightsError(f"torchvision has no weights of {network}, but of {', '.join(NETWORKS)}")
    try:
        from torchvision.models import get_model_weights  # noqa: PLC0415  (optional)
    except (ImportError, RuntimeError) as error:  # RuntimeError: it was built for another version of torch
        wrong = "" if isinstance(error, ModuleNotFoundError) else f" that fits torch {torch.__version__} ({error})"
        raise WeightsError(
            f"{weights} needs the package torchvision{wrong}: pip install torchvision, from the index that torch was "
            "installed from, such as --index-url https://download.pytorch.org/whl/cpu"
        ) from None
    known: Any = get_model_weights(NETWORKS[network])
    name = str(weights).partition(":")[2]
    if name and name not in known.__members__:
        raise WeightsError(f"torchvision has no weights {name} of {network}, but {', '.join(known.__members__)}")
    return known[name] if name else known.DEFAULT
