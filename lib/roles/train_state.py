"""What a worker trains with, and where its training stands: the same for a run and for its rehearsal."""

from dataclasses import dataclass

import torch

from lib.checkpoints.progress import Progress
from lib.data.order import told_order
from lib.data.plan import Plan
from lib.exchange.base import Exchange
from lib.recording.words import pluralize
from lib.roles.builders import identity, preparation
from lib.runtime.process import Context
from lib.training.fine_tuning import start_from
from lib.training.replica import Replica
from lib.training.rollbacks import with_rollback_seed
from lib.training.snapshots import Snapshots, spread


@dataclass(kw_only=True)
class TrainState:
    """One worker's part of a training, all workers' brought to where it goes on."""

    replica: Replica
    exchange: Exchange
    snapshots: Snapshots
    progress: Progress
    plan: Plan
    """what it trains and validates on, as of ``progress``"""
    origin: str = ""
    """for people: where worker 0 got the weights from, unless they are new"""


def build(context: Context, exchange: Exchange, device: torch.device, dtype: torch.dtype) -> TrainState:
    """Called by all workers. Raises CheckpointError or WeightsError where the training cannot go on, or begin."""
    config, data = context.config, context.sheet.data
    replica = Replica(config, data, device, dtype, exchange)
    snapshots = Snapshots(
        config.run,
        identity(config, data),
        preparation(config, data),
        replica,
        total_batch_size=config.batch_size * config.world_size,
        order=told_order(config.data),
    )
    progress, origin = _begin(context, snapshots, replica)
    progress = spread(progress, replica, exchange)
    plan = plan_from(context, replica, progress)
    return TrainState(
        replica=replica, exchange=exchange, snapshots=snapshots, progress=progress, plan=plan, origin=origin
    )


def plan_from(context: Context, replica: Replica, progress: Progress) -> Plan:
    """What this worker trains and validates on from ``progress``; the replica's dropout follows from that, too."""
    replica.seed = with_rollback_seed(context.config, progress.rollbacks).run.seed
    return Plan(context.config, context.sheet.data, rank=context.rank, crop=replica.crop, rollbacks=progress.rollbacks)


def _begin(context: Context, snapshots: Snapshots, replica: Replica) -> tuple[Progress, str]:
    """Worker 0 reads what there is to begin with: how far that is, and what it is."""
    weights = context.config.model.weights
    if context.rank == 0:
        if start := snapshots.start():
            progress = snapshots.restore(start)
            done = f"{pluralize(progress.epoch, 'epoch')} and {pluralize(progress.iteration, 'iteration')}"
            return progress, f"resumed:  {start}, {done} done"
        if weights:
            return Progress(), f"weights:  {start_from(replica.model, weights, context.config.normalize.std)}"
    return Progress(), ""
