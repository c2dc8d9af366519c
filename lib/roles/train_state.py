"""What a worker trains with and from where: the same for a training and for its dry run."""

from dataclasses import dataclass, replace

import torch

from ..checkpoints.progress import Progress
from ..data.order import describe_order
from ..data.plan import Plan
from ..errors import CheckpointError
from ..exchange.base import Exchange
from ..models.registry import model_spec
from ..runtime.process import Context
from ..training.fine_tuning import start_from
from ..training.replica import Replica
from ..training.snapshots import Snapshots, broadcast_progress
from .batch_order import batch_order
from .builders import identity, preparation
from .class_weights import class_weights
from .replica_builder import build_replica
from .run_summary import pluralize


@dataclass(kw_only=True)
class TrainState:
    """One worker's part of a training, with all workers at the point from which it continues."""

    replica: Replica
    exchange: Exchange
    snapshots: Snapshots
    progress: Progress
    plan: Plan
    """the batches it trains and validates on, from ``progress`` on"""
    origin: str = ""
    """one line for people: where worker 0 got the weights from, unless they are new"""


def build(context: Context, exchange: Exchange, device: torch.device, dtype: torch.dtype) -> TrainState:
    """Build a worker's state. Called by all workers.

    Raises CheckpointError or WeightsError where the training cannot continue, or start.
    """
    config, data = context.config, context.sheet.data
    weights_K = class_weights(config, data, lambda _: None)  # a loader warns of the same
    replica = build_replica(config, data, device, dtype, exchange, context.be_patient, class_weights_K=weights_K)
    snapshots = Snapshots(
        config.run,
        identity(config, data),
        preparation(config, data),
        replica,
        total_batch_size=config.batch_size * config.world_size,
        order=describe_order(config.data),
        optimizer=config.optimizer.name,
        by_name=config.model.classes == "by_name",
    )
    progress, origin = _start(context, snapshots, replica)
    progress = broadcast_progress(progress, replica, exchange)
    plan = plan_from(context, replica, progress)
    if progress.iteration > plan.train.iterations:
        raise CheckpointError(
            f"the checkpoint has done {progress.iteration} iterations of its epoch, which has {plan.train.iterations} "
            "here (run.limit_batches, data.epoch_size); keep these, or continue from an epoch's end"
        )
    return TrainState(
        replica=replica, exchange=exchange, snapshots=snapshots, progress=progress, plan=plan, origin=origin
    )


def plan_from(context: Context, replica: Replica, progress: Progress) -> Plan:
    """Return the batches that this worker trains and validates on from ``progress`` on."""
    order = batch_order(context.config)
    if not len(replica.flat.buffers):
        order = replace(order, norm_images=0)  # there is no batch norm, or each is frozen
    return Plan(
        order,
        context.config.augment,
        context.sheet.data,
        rank=context.rank,
        crop=replica.crop,
        rollbacks=progress.rollbacks,
    )


def _start(context: Context, snapshots: Snapshots, replica: Replica) -> tuple[Progress, str]:
    """Load the checkpoint or weights to start from, on worker 0: the progress, and one line about them."""
    model = context.config.model
    if context.rank == 0:
        if start := snapshots.start():
            progress = snapshots.restore(start)
            done = f"{pluralize(progress.epoch, 'epoch')} and {pluralize(progress.iteration, 'iteration')}"
            return progress, f"resumed:  {start}, {done} done"
        if model.weights:
            folders = [c.wnid for c in context.sheet.data.classes] if model.classes == "by_name" else []
            rows = model_spec(model.name).class_tensors(replica.crop, model.variant)
            whole = replica.state.unsplit()
            origin = start_from(
                whole, model.weights, context.config.normalize.std, folders, rows, model.name, model.made_for
            )
            replica.state.take(whole)
            return Progress(), f"weights:  {origin}"
    return Progress(), ""
