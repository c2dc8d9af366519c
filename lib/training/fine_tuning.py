"""Fine-tuning: begin with the weights of another training, and leave parts of the network as they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoints.classes import BY_ORDER, match_classes, same_names
from ..checkpoints.tensor_checks import check_fit
from ..errors import ConfigError, WeightsError
from ..formats.registry import loadable_tensors, read_weights
from ..formats.scaled_weights import Std, describe_scale

_Norms = (nn.BatchNorm1d, nn.BatchNorm2d)


@torch.no_grad()
def start_from(
    model: nn.Module,
    path: str | Path,
    std: Std | None = None,
    folders: Sequence[str] = (),
    class_tensors: Sequence[str] = (),
    network: str = "",
    made_for: str = "auto",
) -> str:
    """Copy the weights at ``path`` into ``model``, in place; returns what was done, as one line.

    ``model`` sees pictures divided by ``std`` (``normalize.std``); weights made for others are brought to that.
    ``folders`` are the classes of the data set and ``class_tensors`` the weights with one row a class. If the file
    tells its classes too, these rows are matched by name. Where the file has other classes, or another number of them,
    last layers, which have one output a class, keep their new values.
    ``network`` is the name of ``model``: weights of another one that fit are taken, and the line says so.
    Raises UserError when the file cannot be read or is of another network.
    """
    read, wanted = read_weights(path, made_for, network), loadable_tensors(model)
    weights = read.rescaled(std, path)
    new, order = _of_other_classes(wanted, weights), "all of them"
    if folders and read.folders and not new and tuple(folders) != read.folders:
        if same_names(read.folders, folders):
            rows = match_classes(path, read.folders, folders)
            weights = weights | {name: weights[name][rows] for name in class_tensors}
            order = "all of them, their classes matched by name"
        else:
            new = [name for name in class_tensors if name in weights]
    cached = {name: value for name, value in wanted.items() if name not in new}
    check_fit(path, {name: value for name, value in weights.items() if name not in new}, cached, WeightsError)
    for name, value in cached.items():
        value.copy_(weights[name])
    brought = f"; trained as {read.network}" if network and read.network not in ("", network) else ""
    if read.std != std:
        brought += f"; made for {describe_scale(read.std)}, here brought to {describe_scale(std)}"
    if not new:
        return f"{path}, {order}{brought}"
    here, there = len(wanted[new[0]]), len(weights[new[0]])
    why = f"{here} classes here, {there} there" if here != there else f"the classes have other names; {BY_ORDER}"
    return f"{path}, all but {', '.join(new)}, which are new: {why}{brought}"


def freeze(model: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """Turn gradients off for every parameter that is named or lies under a name.

    Returns the norms among them: kept in evaluation mode, so that their running statistics stay too.
    Raises ConfigError for a name that is not there, or when nothing is left to train.
    """
    frozen: set[str] = set()
    parameters = dict(model.named_parameters())
    for name in names:
        found = {key for key in parameters if _lies_under(key, name)}
        if not found:
            parts = ", ".join(dict(model.named_children()))
            raise ConfigError(
                f"model.freeze: {name} is no part of this network; its parts are {parts} and what they hold"
            )
        frozen |= found
    if len(frozen) == len(parameters):
        raise ConfigError("model.freeze names every parameter; leave something to train")
    for key in frozen:
        parameters[key].requires_grad_(False)
    return [m for m in model.modules() if isinstance(m, _Norms) and not m.weight.requires_grad]


def _of_other_classes(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> list[str]:
    """Names of the weights that have one row a class, where the classes differ in number.

    A network's last weight has one row a class; what differs as it does, and not otherwise, has so too.
    """
    last = list(ours)[-1]
    here, there = len(ours[last]), len(theirs.get(last, ours[last]))
    if here == there:
        return []
    return [name for name in ours if name in theirs and _differ_so(ours[name], theirs[name], here, there)]


def _differ_so(ours: Tensor, theirs: Tensor, here: int, there: int) -> bool:
    a, b = ours.shape, theirs.shape
    return a[:1] == (here,) and b[:1] == (there,) and a[1:] == b[1:]


def _lies_under(key: str, name: str) -> bool:
    """Whether parameter ``key`` is ``name`` or a part of it.

    >>> [_lies_under(key, "features.1") for key in ("features.1.bias", "features.10.bias")]
    [True, False]
    """
    return f"{key}.".startswith(f"{name.rstrip('.')}.")
