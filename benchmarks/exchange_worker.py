"""A worker process of ``benchmarks.exchange``. All workers take the same turns at the same time."""

import argparse
import itertools
import json
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import distributed
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel

from benchmarks.harness import Contender, Row, take_turns
from benchmarks.ours import OurStep, configuration, synchronize
from benchmarks.plain import BaselineStep, Sizes, plain_network
from benchmarks.training import workers
from lib.config.schema import Config
from lib.data.sources.registry import source_kind
from lib.exchange.base import Exchange
from lib.ipc.supervisor_client import SupervisorClient
from lib.roles.builders import init_device
from lib.roles.exchange_builder import build_exchange
from lib.runtime.process import Context, RunSheet
from lib.training.graph import Graph

ROWS_FILE = "rows.json"
# A run gives up on a silent worker after ten times run.patience_s.
_LAST_RESORT = 10


class Worker(NamedTuple):
    """The rank of this process, and how it reaches the others."""

    rank: int
    world_size: int
    folder: Path
    parent: int
    client: SupervisorClient


def run_worker(rank: int, count: int, folder: str, parent: int, arguments: argparse.Namespace) -> None:
    """Take all measurements in one process; rank 0 writes the rows to ``folder``."""
    client = SupervisorClient(Path(folder) / "supervisor", f"trainer {rank}", arguments.patience_s)
    worker = Worker(rank, count, Path(folder), parent, client)
    distributed.init_process_group(
        "nccl" if torch.cuda.is_available() else "gloo",
        init_method=f"file://{worker.folder / 'store'}",
        rank=rank,
        world_size=count,
        timeout=timedelta(seconds=arguments.patience_s),
        device_id=torch.device("cuda", rank) if torch.cuda.is_available() else None,
    )
    try:
        rows = exchanges(worker, arguments)
        if arguments.ddp:
            rows += whole_steps(worker, arguments)
    finally:
        client.close()  # there is no supervisor, so closing it later would block forever
    distributed.destroy_process_group()
    if rank == 0:
        (worker.folder / ROWS_FILE).write_text(json.dumps([row.as_json() for row in rows]), encoding="utf-8")


def exchanges(worker: Worker, arguments: argparse.Namespace) -> list[Row]:
    """Measure the average of gradients in the dtype of the computation, and of weights and momentum."""
    config = _configuration(worker, arguments)
    device, dtype = init_device(config, worker.rank)
    # Repeated sums would overflow. gloo cannot average, but is called only a few times.
    mean = distributed.ReduceOp.AVG if device.type == "cuda" else distributed.ReduceOp.SUM
    rows: list[Row] = []
    kinds: dict[str, tuple[torch.dtype, int]] = {
        f"gradients, {str(dtype).removeprefix('torch.')}": (dtype, 1),
        "weights and momentum, float32": (torch.float32, 2),
    }
    for number, (what, (kind, times)) in enumerate(kinds.items()):
        numel = times * arguments.numbers
        values = torch.randn(numel, device=device).to(kind)
        ours = _exchange(worker, config, f"{number}", device)
        row = ours.allocate(numel, kind)
        row.copy_(values)
        calls: dict[str, Callable[[], object]] = {
            f"ours, {type(ours).__name__}": partial(_average, ours, row),
            "all-reduce": partial(distributed.all_reduce, values, op=mean),
        }
        if ours.capturable:  # then it is part of a CUDA graph in training; launches from the host cost 0.3 ms
            calls = {name: _as_graph(call, device) for name, call in calls.items()}
        contenders = [Contender(name, partial(_ms, call, arguments.iterations, device)) for name, call in calls.items()]
        for contender in contenders:
            contender.turn()
        case = f"{worker.world_size} workers, {what}, {numel * kind.itemsize / 1e6:.1f} MB"
        rows += take_turns(case, "ms", contenders, arguments.rounds, quiet=worker.rank > 0)
        ours.close()
    return rows


def whole_steps(worker: Worker, arguments: argparse.Namespace) -> list[Row]:
    """Measure whole steps of this program and of DistributedDataParallel, on data that is on the devices."""
    size = arguments.batch_size
    config = _configuration(worker, arguments)
    device, dtype = init_device(config, worker.rank)
    ours = OurStep(config, worker.rank, _exchange(worker, config, "step", device))
    tf32 = torch.get_float32_matmul_precision() == "high"
    sizes = Sizes(size, ours.replica.crop, ours.data.n_classes)

    def peer(mode: str | None, compressed: bool) -> BaselineStep:
        network, loss = plain_network(arguments.model, sizes.classes, sizes.crop)
        network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        ddp = DistributedDataParallel(network, gradient_as_bucket_view=True, static_graph=True)
        if compressed:
            ddp.register_comm_hook(None, default_hooks.bf16_compress_hook)
        return BaselineStep(
            ddp, loss, sizes=sizes, device=device, dtype=dtype, tf32=tf32, tuned=True, compile_mode=mode
        )

    modes = arguments.modes if arguments.compile else (None,)
    # Gradients in bfloat16 are half the bytes. gloo cannot average them.
    hooks = (False, True) if device.type == "cuda" else (False,)
    steps: dict[str, OurStep | BaselineStep] = {f"ours, {config.exchange.what} averaged": ours}
    for mode, compressed in itertools.product(modes, hooks):
        how = f"compiled ({mode})" if mode else "not compiled"
        steps[f"DistributedDataParallel, {how}{', bf16 gradients' if compressed else ''}"] = peer(mode, compressed)

    def turn(images_per_s: Callable[[int], float]) -> float:
        distributed.barrier()
        return worker.world_size * images_per_s(arguments.iterations)

    contenders = [Contender(name, partial(turn, step.images_per_s)) for name, step in steps.items()]
    for contender in contenders:
        contender.turn()
    case = f"{arguments.model}, {worker.world_size} x {size}"
    rows = take_turns(case, "images/s", contenders, arguments.rounds, strongest=True, quiet=worker.rank > 0)
    ours.exchange.close()
    return rows


def _average(exchange: Exchange, row: torch.Tensor) -> None:
    exchange.all_reduce_mean(row)
    if not exchange.capturable:
        exchange.sync_stop()


def _as_graph(call: Callable[[], object], device: torch.device) -> Callable[[], None]:
    def work() -> None:
        call()

    return Graph(work, work, device).replay


def _ms(call: Callable[[], object], iterations: int, device: torch.device) -> float:
    """Return the mean milliseconds of one of ``iterations`` calls, after a barrier of all workers."""
    distributed.barrier()
    synchronize(device)
    start = time.perf_counter()
    for _ in range(iterations):
        call()
    synchronize(device)
    return 1000 * (time.perf_counter() - start) / iterations


def _configuration(worker: Worker, arguments: argparse.Namespace) -> Config:
    keys: Sequence[str] = [
        *("--model.name", arguments.model, "--batch_size", str(arguments.batch_size)),
        *("--data.img_size", str(arguments.img_size)),
        *("--run.patience_s", str(arguments.patience_s / _LAST_RESORT)),
        *workers(worker.world_size),
        *(["--compute.compile", "always"] if arguments.compile and torch.cuda.is_available() else []),
        *arguments.keys,
    ]
    return configuration(keys)


def _exchange(worker: Worker, config: Config, name: str, device: torch.device) -> Exchange:
    """Return the exchange of a trainer with this configuration; its sockets are in a new folder ``name``."""
    folder = worker.folder / name
    folder.mkdir(mode=0o700, exist_ok=True)
    sheet = RunSheet(config, source_kind(config.data).describe(config.data), worker.parent)
    return build_exchange(Context(f"trainer {worker.rank}", worker.rank, folder, sheet, worker.client), device)
