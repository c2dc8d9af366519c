"""``feed --from jpeg``: bring photographs to the device, decoded and made square, with the loader and with others."""

import argparse
import contextlib
import importlib.util
import itertools
import os
import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from benchmarks.feed_turn import Loader, turn
from benchmarks.feeding import feeding
from benchmarks.harness import Contender, Row, take_turns
from benchmarks.ours import configuration
from benchmarks.photographs import draw_photographs

# Drawing one takes longer than decoding it, so those drawn are used again and again.
_DRAWN = 96
_N_VAL = 2


class Photographs(Dataset[Tensor]):
    """Image files decoded by torchvision where it can be used, otherwise by Pillow: uint8 (size, size, 3)."""

    def __init__(self, paths: Sequence[Path], size: int) -> None:
        self._paths, self._size = list(paths), size
        self._decode = self._by_torchvision if has_torchvision() else self._by_pillow

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Tensor:
        return self._decode(str(self._paths[index]))

    def _by_pillow(self, path: str) -> Tensor:
        image = Image.open(path).convert("RGB").resize((self._size, self._size), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image))

    def _by_torchvision(self, path: str) -> Tensor:
        from torchvision.io import ImageReadMode, decode_image  # noqa: PLC0415

        image_CHW: Tensor = decode_image(path, ImageReadMode.RGB)
        size = (self._size, self._size)
        resized_BCHW = functional.interpolate(image_CHW[None].float(), size, mode="bilinear", antialias=True)
        return resized_BCHW[0].round().to(torch.uint8).permute(1, 2, 0).contiguous()


def measure(arguments: argparse.Namespace, place: Path, device: torch.device) -> tuple[list[Row], dict[str, float]]:
    """Measure all ways in turns. Returns the rows, and the resources of the loader."""
    paths = photographs_in_classes(place, arguments.data, arguments.images)
    size, batch, cores = arguments.img_size, arguments.batch_size, len(os.sched_getaffinity(0))
    keys = ["--data.source", "jpeg_folder", "--data.dir", str(place), "--data.img_size", str(size)]
    keys += ["--data.decoders", str(cores), "--batch_size", str(batch), *arguments.keys]
    one_turn = partial(turn, arguments=arguments, folder=place, device=device)
    with contextlib.ExitStack() as stack:
        loader = Loader(stack.enter_context(feeding(configuration(keys), device)))
        by_torch = data_loader(paths, size, batch, arguments.workers, device)
        way = "torchvision" if has_torchvision() else "Pillow"
        contenders = [
            Contender("loader", lambda: one_turn(loader.images, before=loader.drain)),
            Contender(
                f"torch DataLoader, {way}, {arguments.workers} workers",
                lambda: one_turn(lambda: to_device(by_torch, device)),
            ),
        ]
        if importlib.util.find_spec("spdl"):
            contenders.append(
                Contender(
                    f"SPDL, {cores} threads", lambda: one_turn(lambda: by_spdl(paths, size, batch, cores, device))
                )
            )
        for contender in contenders:
            contender.turn()  # warm up: processes start
        rows = take_turns("", "images/s", contenders, arguments.rounds)
        return rows, loader.notes()


def data_loader(
    paths: Sequence[Path], size: int, batch_size: int, workers: int, device: torch.device
) -> "DataLoader[Tensor]":
    """Return torch's DataLoader over photographs in random order."""
    return DataLoader(
        Photographs(paths, size),
        batch_size,
        shuffle=True,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="spawn" if workers else None,
    )


def to_device(batches: "DataLoader[Tensor]", device: torch.device) -> Iterator[Tensor]:
    """Yield the batches, epoch after epoch."""
    for images_BHWC in itertools.chain.from_iterable(itertools.repeat(batches)):
        yield images_BHWC.to(device, non_blocking=True)


def by_spdl(paths: Sequence[Path], size: int, batch_size: int, threads: int, device: torch.device) -> Iterator[Tensor]:
    """Yield batches in random order that SPDL decodes and resizes with FFmpeg, in threads."""
    import spdl.io  # noqa: PLC0415
    from spdl.pipeline import PipelineBuilder  # noqa: PLC0415

    def batches() -> Iterator[list[str]]:
        rng = random.Random(0)
        while True:
            yield [str(path) for path in rng.choices(paths, k=batch_size)]

    def load(chosen: list[str]) -> Any:
        return spdl.io.load_image_batch(chosen, width=size, height=size, pix_fmt="rgb24")

    builder = PipelineBuilder().add_source(batches()).pipe(load, concurrency=threads).add_sink(4)
    pipeline = builder.build(num_threads=threads)
    with pipeline.auto_stop():
        for buffer in pipeline:
            images_BHWC: Tensor = spdl.io.to_torch(buffer)
            yield images_BHWC.to(device, non_blocking=True)


def photographs_in_classes(place: Path, folder: Path | None, count: int) -> list[Path]:
    """Link ``count`` photographs of ``folder`` into class folders; None: draw some. Returns those for training."""
    if folder is None:
        folder = place / "drawn"
        draw_photographs(folder, min(count, _DRAWN))
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    chosen = list(itertools.islice(itertools.cycle(found), count + _N_VAL))
    links = []
    for number, path in enumerate(chosen):
        link = place / ("train" if number < count else "val") / str(number % 2) / f"{number:06d}{path.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.absolute())
        links.append(link)
    return links[:count]


def has_torchvision() -> bool:
    """Return whether torchvision can be used: one that was built for another torch cannot."""
    try:
        import torchvision.io  # noqa: F401, PLC0415
    except (ImportError, RuntimeError, OSError):
        return False
    return True
