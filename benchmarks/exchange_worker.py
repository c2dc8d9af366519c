"""One of the processes that ``benchmarks.exchange`` measures: all of them take the same turns at the same time."""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from benchmarks.harness import Contender, Row, take_turns
from benchmarks.ours import OurStep, configuration, synchronize
from benchmarks.plain import PlainStep, Sizes, plain_network
from benchmarks.training import workers
from lib.config.schema import Config
from lib.data.sources.registry import source_kind
from lib.exchange.base import Exchange
from lib.ipc.supervisor_client import SupervisorClient
from lib.roles.builders import init_device
from lib.roles.exchange_builder import build_exchange
from lib.runtime.process import Context, RunSheet

FIGURES = "rows.json"
# A run's last resort is ten times its patience.
_LAST_RESORT = 10


class Among(NamedTuple):
    """Which process this is, of how many, and where they meet."""

    rank: int
    world_size: int
    folder: Path
    parent: int
    client: SupervisorClient


def work(rank: int, count: int, folder: str, parent: int, arguments: argparse.Namespace) -> None:
    """The whole life of one process; the first leaves everyone's rows in the folder."""
    client = SupervisorClient(Path(folder) / "supervisor", f"trainer {rank}", arguments.patience_s)
    among = Among(rank, count, Path(folder), parent, client)
    distributed.init_process_group(
        "nccl" if torch.cuda.is_available() else "gloo",
        init_method=f"file://{among.folder / 'store'}",
        rank=rank,
        world_size=count,
        timeout=timedelta(seconds=arguments.patience_s),
        device_id=torch.device("cuda", rank) if torch.cuda.is_available() else None,
    )
    try:
        rows = exchanges(among, arguments)
        if arguments.ddp:
            rows += whole_steps(among, arguments)
    finally:
        client.close()  # nobody listens to it: left to itself it would wait for somebody for ever
    distributed.destroy_process_group()
    if rank == 0:
        (among.folder / FIGURES).write_text(json.dumps([row.as_json() for row in rows]), encoding="utf-8")


def exchanges(among: Among, arguments: argparse.Namespace) -> list[Row]:
    """Of what may be averaged: gradients in the type they are computed in, momentum, weights and momentum."""
    config = _configuration(among, arguments)
    device, dtype = init_device(config, among.rank)
    # Sums would grow from call to call until they are no numbers; gloo, which has nothing else, is called a few times.
    mean = distributed.ReduceOp.AVG if device.type == "cuda" else distributed.ReduceOp.SUM
    rows: list[Row] = []
    kinds: dict[str, tuple[torch.dtype, int]] = {
        f"gradients, {str(dtype).removeprefix('torch.')}": (dtype, 1),
        "momentum, float32": (torch.float32, 1),
        "weights and momentum, float32": (torch.float32, 2),
    }
    for place, (what, (kind, times)) in enumerate(kinds.items()):
        numel = times * arguments.numbers
        bytes_ = torch.randn(numel, device=device).to(kind)
        ours = _joined(among, config, f"{place}", device)
        row = ours.allocate(numel, kind)
        row.copy_(bytes_)
        ways: dict[str, Callable[[], object]] = {
            f"ours, {type(ours).__name__}": partial(_average, ours, row),
            "all-reduce": partial(distributed.all_reduce, bytes_, op=mean),
        }
        contenders = [Contender(name, partial(_ms, way, arguments.iterations, device)) for name, way in ways.items()]
        for contender in contenders:
            contender.turn()
        case = f"{among.world_size} workers, {what}, {numel * kind.itemsize / 1e6:.1f} MB"
        rows += take_turns(case, "ms", contenders, arguments.rounds)
        ours.close()
    return rows


def whole_steps(among: Among, arguments: argparse.Namespace) -> list[Row]:
    """Ours and DistributedDataParallel, on data that is on the devices."""
    size = arguments.batch_size
    config = _configuration(among, arguments)
    device, dtype = init_device(config, among.rank)
    ours = OurStep(config, among.rank, _joined(among, config, "step", device))
    network, loss = plain_network(arguments.model, ours.data.n_classes, ours.replica.crop)
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    spread = DistributedDataParallel(network, gradient_as_bucket_view=True, static_graph=True)
    peer = PlainStep(
        spread,
        loss,
        sizes=Sizes(size, ours.replica.crop, ours.data.n_classes),
        device=device,
        dtype=dtype,
        tf32=torch.get_float32_matmul_precision() == "high",
        tuned=True,
        compile_mode="default" if arguments.compile else None,
    )
    steps = {"ours": ours.images_per_s, "DistributedDataParallel": peer.images_per_s}

    def turn(images_per_s: Callable[[int], float]) -> float:
        distributed.barrier()
        return among.world_size * images_per_s(arguments.iterations)

    contenders = [Contender(name, partial(turn, images_per_s)) for name, images_per_s in steps.items()]
    for contender in contenders:
        contender.turn()
    rows = take_turns(f"{among.world_size} x {size}", "images/s", contenders, arguments.rounds)
    ours.exchange.close()
    return rows


def _average(exchange: Exchange, row: torch.Tensor) -> None:
    exchange.all_reduce_mean(row)
    exchange.sync_stop()


def _ms(way: Callable[[], object], iterations: int, device: torch.device) -> float:
    """Of one of so many, everyone beginning together."""
    distributed.barrier()
    synchronize(device)
    began = time.perf_counter()
    for _ in range(iterations):
        way()
    synchronize(device)
    return 1000 * (time.perf_counter() - began) / iterations


def _configuration(among: Among, arguments: argparse.Namespace) -> Config:
    keys: Sequence[str] = [
        *("--model.name", arguments.model, "--batch_size", str(arguments.batch_size)),
        *("--data.img_size", str(arguments.img_size)),
        *("--run.patience_s", str(arguments.patience_s / _LAST_RESORT)),
        *workers(among.world_size),
        *arguments.keys,
    ]
    return configuration(keys)


def _joined(among: Among, config: Config, name: str, device: torch.device) -> Exchange:
    """The exchange that a trainer of this configuration has, with sockets in a folder of its own."""
    folder = among.folder / name
    folder.mkdir(mode=0o700, exist_ok=True)
    sheet = RunSheet(config, source_kind(config.data.source).describe(config.data), among.parent)
    return build_exchange(Context(f"trainer {among.rank}", among.rank, folder, sheet, among.client), device)
