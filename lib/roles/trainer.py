"""The trainer role: one replica of the network on one device, fed by its loader, averaged with the others."""

import signal
import sys
import time
from collections.abc import Iterator
from itertools import islice

from lib.data.feed import Feed
from lib.data.layout import layout, read_manifest
from lib.data.plan import Plan
from lib.data.upload import Batch
from lib.environment import write_environment
from lib.exchange.base import Exchange, sums
from lib.metrics import Figures, Meter
from lib.recorder import Clock, Recorder, Silence, open_recorder
from lib.replica import Replica
from lib.roles.introduction import facts, introduction
from lib.roles.process import Context, run_role
from lib.roles.setup import identity, join, open_feed, set_up
from lib.schedule import learning_rate
from lib.snapshots import Progress, Snapshots


class Trainer:
    """One worker's part of a run, from ``progress`` to its end."""

    def __init__(
        self,
        context: Context,
        *,
        replica: Replica,
        exchange: Exchange,
        feed: Feed,
        plan: Plan,
        snapshots: Snapshots,
        recorder: Recorder | Silence,
        progress: Progress,
    ) -> None:
        self.config, self.rank, self.hotline = context.config, context.rank, context.hotline
        self.replica, self.exchange, self.feed, self.plan = replica, exchange, feed, plan
        self.snapshots, self.recorder, self.progress = snapshots, recorder, progress
        self.meter, self.clock = Meter(replica.device), Clock()

    def train(self) -> None:
        """Epochs of training, each followed by validation, until all are done or all replicas are to leave."""
        at = self.progress
        while at.epoch < self.config.run.n_epochs:
            self.train_epoch()
            if self.exchange.leaving or not self.validate():
                self.save()
                break
            self.exchange.verify()
            at.epoch, at.iteration = at.epoch + 1, 0
            if at.epoch % self.config.run.snapshot_freq == 0 or at.epoch == self.config.run.n_epochs:
                self.save()
            self.recorder.end_of_epoch()

    def train_epoch(self) -> None:
        """Train to the end of the epoch in hand, or until all replicas are to leave."""
        at, iterations = self.progress, self.plan.train.iterations
        rate = learning_rate(
            self.config.optimizer.learning_rate,
            self.config.schedule,
            epoch=at.epoch,
            val_errors=at.val_errors,
        )
        self.recorder.epoch(at, iterations)
        self.clock.lap(self.feed.waited_s)
        while at.iteration < iterations and not self.exchange.leaving:
            self.hotline.alive(f"training iteration {at.iteration + 1} of epoch {at.epoch + 1}")
            self.replica.train_step(
                next(self.feed),
                self.meter,
                rate=rate,
                share=self.config.world_size / self.plan.train.all_workers_count(at.iteration),
                key=(at.epoch, at.iteration, self.rank),
            )
            began = time.perf_counter()
            self.exchange.average()
            self.clock.exchanged_s += time.perf_counter() - began
            at.iteration += 1
            self.recorder.iteration()
            at_end = at.iteration == iterations or self.exchange.leaving
            if at_end or at.iteration % self.config.logging.print_freq == 0:
                self.report(rate)
            if self.rank == 0 and self.snapshots.due():
                self.save()
        self.recorder.end_of_phase()

    def validate(self) -> bool:
        """Loss and errors over every validation image, each worker its share. False if we are to leave instead."""
        self.recorder.validating(self.progress, self.plan.val.iterations)
        self.replica.evaluate(self.val_batches(), self.meter)
        totals, _ = self.meter.take()
        figures = Figures.of(sums(self.exchange.gather(totals)))
        if self.exchange.leaving:
            return False
        self.progress.val_record.append((figures.top1_error, figures.loss))
        self.recorder.validation(self.progress, figures)
        return True

    def val_batches(self) -> Iterator[Batch]:
        """This worker's validation batches, broken off when it is asked to leave."""
        for batch in islice(self.feed, self.plan.val.iterations):
            if self.exchange.asked:
                return
            self.hotline.alive(f"validating after epoch {self.progress.epoch + 1}")
            yield batch
            self.recorder.validated()

    def report(self, rate: float) -> None:
        """Add up the last iterations' figures over all workers. Raises DivergedError if a loss was no number."""
        totals, bad_at = self.meter.take()
        gathered = self.exchange.gather([bad_at, *self.clock.lap(self.feed.waited_s), *totals])
        first_bad = min(row[0] for row in gathered)
        if first_bad < float("inf"):
            what = f"the loss is no number since iteration {first_bad + 1:.0f}"
            raise self.snapshots.diverged(what, self.progress)
        _, elapsed, waited, exchanged, *totals = sums(gathered)
        self.recorder.training(self.progress, totals, rate, (elapsed, waited, exchanged), self.config.world_size)

    def save(self) -> None:
        """Worker 0 writes a checkpoint: after an exchange its replica is everyone's."""
        if self.rank == 0:
            self.hotline.alive("saving a checkpoint", patience_s=10 * self.config.run.patience_s)
            path = self.snapshots.save(self.progress)
            self.hotline.alive("saved a checkpoint")
            self.recorder.saved(path)


def run(context: Context) -> None:
    """Build every part, train, and take the parts down again."""
    config = context.config
    device, dtype = set_up(config, context.rank)
    at = layout(config.data.dir, config.data.misc_dir)
    manifest = read_manifest(at)
    exchange = join(context, device)
    replica = Replica(config, at, manifest, device, dtype, exchange)
    snapshots = Snapshots(config.run, identity(config, manifest), replica)
    start = snapshots.start()
    progress = snapshots.restore(start) if start else Progress()
    plan = Plan(config, manifest, rank=context.rank, crop=replica.crop)
    feed = open_feed(context, plan.run(progress.epoch, progress.iteration), manifest, device)
    recorder = open_recorder(config, context.name, progress, plan, device) if context.rank == 0 else Silence()
    recorder.say(introduction(config, manifest, replica.model, replica.crop, dtype))
    if start:
        recorder.say(f"resumed:  {start}, {progress.epoch} epochs and {progress.iteration} iterations done")
    if context.rank == 0:
        write_environment(config.run.weights_dir, facts(config, replica.model, plan))
    if progress.epoch >= config.run.n_epochs:
        recorder.say(f"nothing is left to do: all {config.run.n_epochs} epochs are done; raise run.n_epochs for more")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: exchange.leave())
    Trainer(
        context,
        replica=replica,
        exchange=exchange,
        feed=feed,
        plan=plan,
        snapshots=snapshots,
        recorder=recorder,
        progress=progress,
    ).train()
    recorder.close()
    exchange.close()  # a meeting of all, so that from here on every process ends soon
    feed.close()


if __name__ == "__main__":
    sys.exit(run_role("trainer", run))
