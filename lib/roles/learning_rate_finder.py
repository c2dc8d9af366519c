"""The learning-rate finder role (--find_learning_rate): a sweep over rates with the real network, data and exchange."""

import sys
from collections.abc import Callable, Iterator
from itertools import chain, count

import numpy as np

from ..data.plan import BatchRequest, Plan
from ..errors import ConfigError, DataError
from ..exchange.base import sums
from ..recording.rate_sweep import STEPS, Sweep, has_diverged, sweep_rates
from ..recording.recorder import NullRecorder
from ..runtime.process import Context, run_role
from ..system.terminal import print_stdout
from .builders import init_device, open_feed
from .exchange_builder import build_exchange
from .train_state import build
from .trainer import Trainer

PICTURE = "learning_rate.png"
# Updates between two lines.
_PRINTED = 10


class SweepingTrainer(Trainer):
    """A trainer whose updates have the learning rate ``rate``, whatever the schedule says."""

    rate = 0.0

    def lr_and_decay(self) -> tuple[float, float]:
        """Return ``rate``, and the weight decay of the schedule."""
        return self.rate, super().lr_and_decay()[1]


def run(context: Context) -> None:
    """Sweep on all workers; worker 0 prints the suggestion and writes the picture. Raises DataError or ConfigError."""
    config = context.config
    device, dtype = init_device(config, context.rank)
    exchange = build_exchange(context, device)
    state = build(context, exchange, device, dtype)
    feed = open_feed(context, state.plan, training_alone(state.plan), device)
    trainer = SweepingTrainer(context, state, feed, NullRecorder())
    sweep = sweep_losses(trainer, print_stdout if context.rank == 0 else lambda _: None)
    if context.rank == 0:
        context.be_patient("drawing the sweep")
        path, recipe = config.run.weights_dir / PICTURE, config.optimizer.learning_rate
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            sweep.draw(path, recipe)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}; name another --run.weights_dir") from None
        print_stdout(f"{sweep.describe(recipe)}\npicture: {path}")
    exchange.close()
    feed.close()


def sweep_losses(trainer: SweepingTrainer, say: Callable[[str], None]) -> Sweep:
    """Make one update at each rate, until the loss diverges. Raises DataError if a batch cannot be read."""
    rates, losses = sweep_rates(), list[float]()
    at = trainer.progress
    for number, rate in enumerate(rates, 1):
        if at.iteration >= trainer.plan.train.iterations:
            at.epoch, at.iteration = at.epoch + 1, 0
        trainer.rate = float(rate)
        if not trainer.train_update():
            raise DataError(trainer.feed.failure or "another worker cannot read its data, or the sweep was stopped")
        total, _, _, images = sums(trainer.exchange.all_gather(trainer.metrics.meter.take()[0]))
        losses.append(total / max(images, 1.0))
        if number % _PRINTED == 0 or has_diverged(losses):
            say(f"{number:>4} of {STEPS}  rate {rate:<8.2g} loss {losses[-1]:.4f}")
        if has_diverged(losses):
            losses.pop()
            break
    return Sweep(rates[: len(losses)], np.array(losses))


def training_alone(plan: Plan) -> Iterator[BatchRequest]:
    """Yield the training batches of one epoch after the other."""
    return chain.from_iterable(plan.training(epoch) for epoch in count())


if __name__ == "__main__":
    sys.exit(run_role("learning_rate_finder", run))
