"""The validator role: one worker's share in the figures of a checkpoint over every validation image."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from lib.checkpoints import checkpoint
from lib.checkpoints.checkpoint import best_of_run
from lib.config.schema import Config
from lib.data.augment.params import eval_crop_params
from lib.data.dataset import DataSet
from lib.data.feed import Feed
from lib.data.plan import Plan
from lib.errors import CheckpointError
from lib.evaluation import predictions
from lib.evaluation.figures import by_class, confusion_matrix, overall
from lib.evaluation.files import write_evaluation
from lib.evaluation.options import Evaluation
from lib.evaluation.predictions import Predictions, check_complete, joined, nothing
from lib.formats.weights import load_weights
from lib.recording.console import describe
from lib.roles.builders import identity, init_device, join, open_feed, preparation
from lib.runtime.process import Context, run_role
from lib.training.replica import Replica


def run(context: Context) -> None:
    """Evaluate this worker's images; worker 0 puts everyone's together and reports."""
    config, data, wanted = context.config, context.sheet.data, context.sheet.evaluation or Evaluation()
    device, dtype = init_device(config, context.rank)
    exchange = join(context, device)
    replica = Replica(config, data, device, dtype, exchange)
    path = chosen_checkpoint(wanted.checkpoint, config.run.weights_dir)
    load(replica, path, config, data)
    replica.refresh()
    plan = Plan(config, data, rank=context.rank, crop=replica.crop)
    feed = open_feed(context, plan.validation(0), data, device)
    params = torch.from_numpy(eval_crop_params(wanted.crops, img_size=data.img_size, crop=replica.crop)).to(device)
    mine = [nothing(data.n_classes), *predicted(context, replica, feed, plan, params)]
    joined(mine).save(part(context, context.rank))
    context.client.heartbeat("waiting for the other workers")
    exchange.all_gather([])  # from here on everyone's part is on the disk
    if context.rank == 0:
        context.client.heartbeat("computing figures", patience_s=10 * config.run.patience_s)
        whole = joined([predictions.load(part(context, rank)) for rank in range(config.world_size)])
        check_complete(whole, data.count("val"))
        report(whole, path, wanted, [(c.wnid, c.name) for c in data.classes])
    exchange.close()
    feed.close()


def chosen_checkpoint(wanted: Path | None, weights_dir: Path) -> Path:
    """``wanted``, or the best one of the run in that folder, or in ``weights_dir``. Raises CheckpointError."""
    path = best_of_run(wanted or weights_dir) or wanted
    if path is None:
        raise CheckpointError(f"there is no checkpoint in {weights_dir}; train one, or name another with --checkpoint")
    return path


def load(replica: Replica, path: Path, config: Config, data: DataSet) -> None:
    """Put the weights at ``path`` into the replica. Raises CheckpointError or WeightsError when they do not fit.

    Any data set will do for a checkpoint, as long as the network fits it.
    """
    if checkpoint.is_checkpoint(path):
        saved, here = checkpoint.load(path), identity(config, data)
        any_data = replace(saved.identity, data_fingerprint=here.data_fingerprint)
        checkpoint.refuse_other(path, any_data, here, "use its own --model.name, classes and image size")
        checkpoint.refuse_other_preparation(path, saved.preparation, preparation(config, data))
    load_weights(replica.model, path, config.normalize.std)


def predicted(
    context: Context, replica: Replica, feed: Feed, plan: Plan, params_C3: torch.Tensor
) -> Iterator[Predictions]:
    """What the network says of each of this worker's batches."""
    for number, batch in enumerate(feed):
        context.client.heartbeat(f"validating batch {number + 1}")
        if len(batch.labels_B):
            log_probabilities_BK = replica.log_probabilities(batch, params_C3)
            yield Predictions.of(plan.val.indices(0, number), batch.labels_B, log_probabilities_BK)


def part(context: Context, rank: int) -> Path:
    """Where worker ``rank`` leaves its predictions for worker 0."""
    return context.folder / f"predictions{rank}.npz"


def report(whole: Predictions, path: Path, wanted: Evaluation, names: list[tuple[str, str]]) -> None:
    """Print the figures and write them to ``wanted.out``."""
    figures, classes = overall(whole), by_class(whole)
    out = wanted.out or path.with_name(f"{path.stem}_{wanted.crops}crop")
    more = {"crops": wanted.crops, "checkpoint": str(path)}
    write_evaluation(out, figures, classes, confusion_matrix(whole), names, more)
    print(f"{path}: {describe(figures)}  over {figures.images:,} images")
    crops = "1 crop" if wanted.crops == 1 else f"{wanted.crops} crops"
    print(f"mean average precision {classes.mean_average_precision:.4f}  {crops}  written to {out}", flush=True)


if __name__ == "__main__":
    sys.exit(run_role("validator", run))
