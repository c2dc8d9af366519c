"""The validator role: one worker's share in evaluating a checkpoint on the whole validation set."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..checkpoints import checkpoint
from ..checkpoints.classes import match_classes
from ..checkpoints.folder import best_of_run
from ..config.schema import Config
from ..data.augment.params import eval_crop_params
from ..data.dataset import DataSet, read_mean_image
from ..data.plan import Plan
from ..data.upload import Batch
from ..errors import CheckpointError
from ..evaluation.class_metrics import Confusion, class_metrics, one_class_warning, overall_metrics
from ..evaluation.crops import describe_input
from ..evaluation.opening import preparation_of
from ..evaluation.options import Evaluation
from ..evaluation.output_folder import write_evaluation
from ..evaluation.predictions import Predictions
from ..evaluation.whole_image import shrink_batches, shrink_mean
from ..formats.registry import load_weights
from ..models.registry import model_spec
from ..recording.metric_table import describe
from ..runtime.pace import Pace
from ..runtime.process import Context, run_role
from ..system.terminal import print_stdout
from ..training.replica import Replica
from ..training.step import crop_log_probabilities
from .batch_order import batch_order
from .builders import identity, init_device, open_feed, preparation
from .exchange_builder import build_exchange
from .replica_builder import build_replica


def run(context: Context) -> None:
    """Evaluate this worker's images; worker 0 merges the results of all and reports them."""
    config, data, options = context.config, context.sheet.data, context.sheet.evaluation or Evaluation()
    device, dtype = init_device(config, context.rank)
    exchange = build_exchange(context, device)
    path = best_of_run(options.checkpoint or config.run.weights_dir) or options.checkpoint
    if path is None:
        raise CheckpointError(
            f"there is no checkpoint in {config.run.weights_dir}; train one, or name another with --checkpoint"
        )
    crop = model_spec(config.model.name).crop_of(data.img_size, config.model.variant)
    side = crop if options.crop == "whole" else data.img_size
    mean_CHW = shrink_mean(mean_of(path, data), side)
    unsplit = replace(config, model=replace(config.model, parallel="none"))
    replica = build_replica(unsplit, data, device, dtype, exchange, context.be_patient, mean_CHW=mean_CHW, crop=crop)
    note: Callable[[str], object] = print_stdout if context.rank == 0 else lambda _: None
    weights = load(replica, path, config, data, note)
    if not weights.tell_inputs:
        note(f"{path}: {describe_input(side, crop)} (data.img_size, model.crop)")
    others = options.crops > 2 or options.crop == "whole"  # than the center
    plan = Plan(batch_order(config), config.augment, data, rank=context.rank, crop=crop, whole_images=others)
    feed = open_feed(context, plan, plan.validation(0), device)
    batches = shrink_batches(feed, side) if side < data.img_size else feed
    params = torch.from_numpy(eval_crop_params(options.crops, img_size=side, crop=crop)).to(device)
    own = [Predictions.empty(data.n_classes), *predict(context, replica, batches, plan, params, weights.order)]
    results = [context.folder / f"predictions{rank}.npz" for rank in range(config.world_size)]
    Predictions.concatenate(own).save(results[context.rank])
    context.client.heartbeat("waiting for the other workers")
    exchange.all_gather([])  # from here on everyone's results are on the disk
    if context.rank == 0:
        context.be_patient("computing metrics")
        whole = Predictions.concatenate([Predictions.load(result) for result in results])
        if not config.run.limit_batches:
            whole.check_complete(data.count("val"))
        out = options.out or default_folder(
            path, options, "" if weights.of_this_data else config.data.dir.resolve().name
        )
        report(whole, path, out, options, [(c.wnid, c.name) for c in data.classes], weights.tell_inputs)
    replica.step.close()
    exchange.close()
    feed.close()


def mean_of(path: Path, data: DataSet) -> NDArray[np.float32]:
    """Return the mean image (3, H, W) that belongs to the weights at ``path``, or that of the data set.

    For images of another size than those of the training it is its mean color.
    """
    known = preparation_of(path)
    if known is None:
        return read_mean_image(data)
    mean_CHW: NDArray[np.float32] = known.mean.numpy()
    if mean_CHW.shape[1] == data.img_size:
        return mean_CHW
    return np.broadcast_to(mean_CHW.mean((1, 2), keepdims=True), (3, data.img_size, data.img_size)).copy()


class LoadedWeights(NamedTuple):
    """What is known of weights that were loaded."""

    order: list[int]
    """for each class of the data set, its number in the network"""
    tell_inputs: bool
    """whether their file tells the network and its inputs"""
    of_this_data: bool
    """whether they are known to have been trained on this data set"""


def load(
    replica: Replica, path: Path, config: Config, data: DataSet, note: Callable[[str], object] = print_stdout
) -> LoadedWeights:
    """Load the weights at ``path`` into the replica.

    A checkpoint of another data set is accepted, which ``note`` is told, as long as network and names of the classes
    fit this one. Raises CheckpointError or WeightsError if they do not.
    """
    own, of_this_data = checkpoint.may_be_checkpoint(path), False
    if own:
        saved, here = checkpoint.load(path), identity(config, data)
        of_this_data = saved.identity.data_fingerprint == here.data_fingerprint
        if not of_this_data:
            note(f"note: {path} was trained on another data set than {data.where}")
        any_data = replace(saved.identity, data_fingerprint=here.data_fingerprint)
        checkpoint.check_identity(path, any_data, here, "use its own --model.name, classes and image size")
        checkpoint.check_preparation(path, saved.preparation, preparation(config, data))
    made_for = "auto" if own else config.model.made_for  # a checkpoint tells its images
    read = load_weights(replica.model, path, config.normalize.std, config.model.name, made_for)
    theirs, ours = read.folders, [c.wnid for c in data.classes]
    replica.refresh()
    order = (
        match_classes(path, theirs, ours) if theirs and config.model.classes == "by_name" else list(range(len(ours)))
    )
    if order != list(range(len(ours))):
        note(f"note: {path} has these classes in another order: they are matched by name")
    return LoadedWeights(order, bool(read.network), of_this_data)


def predict(
    context: Context,
    replica: Replica,
    batches: Iterable[Batch],
    plan: Plan,
    params_C3: torch.Tensor,
    order: Sequence[int],
) -> Iterator[Predictions]:
    """Yield the network's predictions for each of this worker's batches, averaged over the crops ``params_C3``.

    ``order`` is the number in the network of each class.
    """
    pace = Pace(context.client, context.config.run.patience_s)
    for number, batch in enumerate(batches):
        if len(batch.labels_B):
            work = partial(pace.work, f"validating batch {number + 1}")
            log_probabilities_BK = crop_log_probabilities(replica.step, batch, params_C3, work)[:, order]
            yield Predictions.of(plan.val.indices(0, number), batch.labels_B, log_probabilities_BK)


def default_folder(path: Path, options: Evaluation, data_name: str) -> Path:
    """Return the folder beside the weights at ``path`` for an evaluation on the data set ``data_name``.

    It is empty for the data set of the training, whose results those of others do not replace.
    """
    whole_images = "_whole" if options.crop == "whole" else ""
    other_data = f"_{data_name}" if data_name else ""
    return path.with_name(f"{path.stem}{whole_images}_{options.crops}crop{other_data}")


def report(
    whole: Predictions, path: Path, out: Path, options: Evaluation, names: list[tuple[str, str]], tell_inputs: bool
) -> None:
    """Print the metrics, and write them into ``out``. ``tell_inputs`` is as in ``LoadedWeights``."""
    metrics, classes = overall_metrics(whole), class_metrics(whole)
    more = {"crops": options.crops, "crop": options.crop, "checkpoint": str(path)}
    write_evaluation(out, metrics, classes, Confusion.of(whole), names, more)
    print_stdout(f"{path}: {describe(metrics)}  over {metrics.images:,} images")
    crops = "1 crop" if options.crops == 1 else f"{options.crops} crops"
    if not tell_inputs and (warning := one_class_warning(whole.predicted, classes.images)):
        print_stdout(f"warning: {warning}")
    print_stdout(f"mean average precision {classes.mean_average_precision:.4f}  {crops}  written to {out}")


if __name__ == "__main__":
    sys.exit(run_role("validator", run))
