"""A checkpoint whose file is intact but whose content cannot be right is refused before anything is used."""

import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.checkpoints.checkpoint import load, may_be_checkpoint, to_dict
from lib.errors import CheckpointError
from tests.support.checkpoints import checkpoint

State = dict[str, Any]
ONES = torch.ones(3)

CRAFTED: dict[str, tuple[Callable[[State], object], str]] = {
    "NaN": (lambda s: s["parameters"]["w"].fill_(math.nan), "w contains NaN or infinite"),
    "infinite momentum": (lambda s: s["momentum"]["w"].fill_(math.inf), "momentum of w contains NaN"),
    "complex": (lambda s: s["parameters"].update(w=ONES.to(torch.complex64)), "w has complex numbers"),
    "sparse": (lambda s: s["parameters"].update(w=ONES.to_sparse()), "w is sparse"),
    "meta": (lambda s: s["parameters"].update(w=torch.empty(3, device="meta")), "w is sparse, quantized or without"),
    "float64": (lambda s: s["parameters"].update(w=ONES.double()), "w has torch.float64 numbers"),
    "expanded": (lambda s: s["parameters"].update(w=torch.ones(1).expand(3)), "w claims more numbers than"),
    "momentum of shape (1,)": (lambda s: s["momentum"].update(w=torch.ones(1)), "momentum has other shapes"),
    "integer momentum": (lambda s: s["momentum"].update(w=ONES.int()), "momentum of w has torch.int32 numbers instead"),
    "momentum of nothing": (lambda s: s["momentum"].update(v=ONES), "momentum of unknown parameters"),
    "record of NaN": (lambda s: s["val_record"].fill_(math.nan), "validation record contains NaN"),
    "record of one row": (lambda s: s.update(val_record=torch.zeros(2)), "inconsistent"),
    "seed": (lambda s: s.update(seed=2**63), "inconsistent|wrong type"),
    "batch size": (lambda s: s.update(total_batch_size=-1), "inconsistent"),
    "a huge mean image": (
        lambda s: s["preparation"].update(mean=torch.zeros(1).expand(3, 10**5, 10**5)),
        "mean image has another size",
    ),
    "image size": (lambda s: s["identity"].update(img_size=10**9), "mean image has another size"),
    "number of classes": (lambda s: s["identity"].update(n_classes=10**9), "names 2 classes, but has 1000000000"),
    "no class names": (lambda s: s["preparation"].update(classes=()), "names 0 classes, but has 2"),
    "std": (lambda s: s["preparation"].update(std=(0.0, 1.0, 1.0)), "std is not positive"),
}


@pytest.mark.parametrize("case", CRAFTED)
def test_a_crafted_checkpoint_is_refused(tmp_path: Path, case: str) -> None:
    change, says = CRAFTED[case]
    state = to_dict(checkpoint())
    state |= {key: dict(state[key]) for key in ("identity", "preparation")}
    change(state)
    torch.save(state, tmp_path / "crafted.pt")
    with pytest.raises(CheckpointError, match=f"crafted.pt is damaged or not a checkpoint .*({says})"):
        load(tmp_path / "crafted.pt")


def test_a_compressed_file_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    torch.save(to_dict(checkpoint()), tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, zipfile.ZipFile(tmp_path / "bomb.pt", "w") as bomb:
        for entry in plain.infolist():
            bomb.writestr(entry.filename, plain.read(entry), zipfile.ZIP_DEFLATED)
    assert may_be_checkpoint(tmp_path / "bomb.pt")
    with pytest.raises(CheckpointError, match="it is compressed, unlike files of torch.save"):
        load(tmp_path / "bomb.pt")
