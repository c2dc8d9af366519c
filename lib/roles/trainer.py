"""The trainer role: one replica of the network on one device, fed by its loader, averaged with the others."""

import math
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NoReturn

import torch

from lib.checkpoints.progress import Progress
from lib.data.feed import Feed
from lib.data.plan import Plan
from lib.data.upload import Batch
from lib.errors import AllDivergedError, DataError
from lib.evaluation.metrics import Meter, Metrics
from lib.exchange.base import sums
from lib.recording.console import BrokenPipeGuard, console
from lib.recording.environment import write_environment
from lib.recording.recorder import NullRecorder, Recorder, open_recorder
from lib.roles.builders import init_device, join, open_feed
from lib.roles.checkpoint_writer import CheckpointWriter
from lib.roles.deferred_metrics import DeferredMetrics
from lib.roles.run_summary import facts, run_summary
from lib.roles.train_state import TrainState, build, plan_from
from lib.runtime.process import Context, mark_started, run_role
from lib.runtime.run_dir import claim_run_dir
from lib.training.schedule import learning_rate, weight_decay
from lib.training.snapshots import spread


class Trainer:
    """One worker's part of a run, from ``progress`` to its end."""

    def __init__(self, context: Context, parts: TrainState, feed: Feed, recorder: Recorder | NullRecorder) -> None:
        self.context, self.config = context, context.config
        self.rank, self.client = context.rank, context.client
        self.replica, self.exchange, self.snapshots = parts.replica, parts.exchange, parts.snapshots
        self.plan, self.progress = parts.plan, parts.progress
        self.feed, self.recorder = feed, recorder
        self.deferred_metrics = DeferredMetrics(parts.replica.device, feed, parts.exchange)
        self.rate = 0.0  # of the last update
        self.checkpoint_writer = CheckpointWriter(context, parts, lambda path: self.recorder.saved(path))  # noqa: PLW0108  a rollback opens another one

    def train(self) -> None:
        """Epochs of training, each followed by validation, until all are done or all replicas are to leave."""
        if self.config.run.on_nan == "rollback":
            self.checkpoint_writer.begin(self.progress)  # so that there is always one to go back to
        staying = True
        try:
            while staying and self.progress.epoch < self.config.run.n_epochs:
                try:
                    staying = self.train_and_validate()
                except AllDivergedError as error:
                    self.rollback(error)
        finally:
            self.checkpoint_writer.finish()

    def train_and_validate(self) -> bool:
        """Bring the epoch in hand to its end and save what is to be saved; False where all are to leave before."""
        at, run = self.progress, self.config.run
        self.train_epoch()
        with self.replica.synchronized():
            if self.exchange.stopping or not self.validate():
                self.checkpoint_writer.begin(at)
                return False
            self.exchange.verify(self.replica.flat.state)
            at.epoch, at.iteration = at.epoch + 1, 0
            if at.epoch % run.snapshot_freq == 0 or at.epoch == run.n_epochs:
                self.checkpoint_writer.begin(at)
            elif at.is_best:
                self.checkpoint_writer.begin(at, soon=True)
        if not self.checkpoint_writer.busy:  # else the page is to wait for the checkpoint
            self.recorder.refresh_page()
        return True

    def train_epoch(self) -> None:
        """Train to the end of the epoch in hand, or until all replicas are to leave."""
        at, iterations, print_freq = self.progress, self.plan.train.iterations, self.config.logging.print_freq
        self.recorder.epoch(at, iterations)
        self.deferred_metrics.begin()
        while at.iteration < iterations and not self.exchange.stopping:
            before = at.iteration
            if not self.train_update():
                break
            if at.iteration // print_freq > before // print_freq:
                self.deferred_metrics.note(at.iteration, self.rate)
            self.report()
            self.checkpoint_writer.look()
            if self.rank == 0 and self.snapshots.due() and self.replica.in_sync:
                with self.replica.synchronized():
                    self.checkpoint_writer.begin(at)
        else:
            self.deferred_metrics.note(at.iteration, self.rate)
        self.report(now=True)
        self.recorder.end_of_phase()

    def train_update(self) -> bool:
        """Train the iterations of the next update; False, on all workers, where it cannot be made."""
        self.rate, decay = self.rate_and_decay()
        of_update = self.plan.train.of_one_update(self.progress.iteration, self.config.optimizer.accumulate)
        if not self.add_gradients(of_update):
            return False
        self.leave_if_data_fails(within=1 + self.exchange.lag)
        self.replica.update(rate=self.rate, weight_decay=decay)
        self.exchange.sync_stop()
        self.progress.iteration = of_update.stop
        self.deferred_metrics.updated()
        return True

    def rollback(self, error: AllDivergedError) -> None:
        """Go back to the last checkpoint, on all workers, and from there another way. Raises ``error`` if not to."""
        run, rollbacks = self.config.run, self.progress.rollbacks + 1
        if run.on_nan == "stop" or rollbacks > run.rollbacks:
            raise error
        self.client.heartbeat("going back to the last checkpoint", patience_s=10 * run.patience_s)
        where = f"epoch {self.progress.epoch + 1}; going back to the last checkpoint"
        self.recorder.warn(f"{error.what} of {where}, {rollbacks} of at most {run.rollbacks} times (run.rollbacks)")
        saved = self.snapshots.restore_latest() if self.rank == 0 else Progress()
        self.progress = replace(spread(saved, self.replica, self.exchange), rollbacks=rollbacks)
        self.plan = plan_from(self.context, self.replica, self.progress)
        self.feed.restart(self.plan.run(self.progress.epoch, self.progress.iteration))
        self.deferred_metrics.drop()
        self.recorder.close()
        self.recorder = recorder_of(self.context, self.plan, self.progress, self.replica.device)
        self.checkpoint_writer.begin(
            self.progress
        )  # the same with its count of rollbacks: a resume, too, goes the other way

    def add_gradients(self, of_update: range) -> bool:
        """Add the gradients of the iterations of one update.

        False, on all workers, where one of them cannot read a batch: then the update is not made on any.
        """
        at, lacking = self.progress, False
        images = sum(map(self.plan.train.all_workers_count, of_update))
        for iteration in of_update:
            if self.plan.subset_due(iteration) and not self.validate_subset():
                return False
            self.client.heartbeat(f"training iteration {iteration + 1} of epoch {at.epoch + 1}")
            # The first batch of an update is known to be there since before the last update.
            lacking = lacking or (iteration > of_update.start and self.leave_if_data_fails())
            if not lacking:
                self.replica.add_gradients(
                    next(self.feed),
                    self.deferred_metrics.meter,
                    loss_scale=self.config.world_size / images,
                    key=(at.epoch, iteration, self.rank),
                )
                self.feed.used()
                self.recorder.iteration()
        return len(of_update) == 1 or not any(row[0] for row in self.exchange.all_gather([lacking]))

    def leave_if_data_fails(self, within: int = 1) -> bool:
        """Whether one of this worker's next batches cannot be read: then all are to leave once they agree on that.

        Called before each update, with as many batches as there are updates until they agree, so that no worker is
        ever half through one that another worker cannot make.
        """
        fails = self.feed.fails(within)
        if fails:
            self.exchange.request_stop()
        return fails

    def rate_and_decay(self) -> tuple[float, float]:
        """Learning rate and weight decay of the update to come."""
        config, at = self.config, self.progress
        # The middle of the iteration, so that neither end of a curve is a rate of 0.
        epoch = at.epoch + (at.iteration + 0.5) / self.plan.train.iterations
        rate = learning_rate(
            config.optimizer.learning_rate,
            config.schedule,
            epoch=epoch,
            n_epochs=config.run.n_epochs,
            val_errors=at.val_errors,
        )
        return rate, weight_decay(config.optimizer.weight_decay, config.schedule, epoch=epoch)

    def validate(self) -> bool:
        """Loss and errors over every validation image, each worker its share. False if we are to leave instead."""
        self.recorder.validating(self.progress, self.plan.val.iterations)
        meter = Meter(self.replica.device)
        self.replica.evaluate(self.val_batches(), meter)
        totals, _ = meter.take()
        figures = Metrics.of(sums(self.exchange.all_gather(totals)))
        if self.exchange.stopping:
            return False
        if not math.isfinite(figures.loss):
            self.refuse("the validation loss is no number at the end")
        self.progress.val_record.append((figures.top1_error, figures.loss))
        self.recorder.validation(self.progress, figures)
        return True

    def validate_subset(self) -> bool:
        """Loss and errors over the subset of validation images; the training's figures and times go on after it.

        False, on all workers, where one of them cannot read a batch of it, or the training batch after it.
        It comes before the iteration, not after the one before it: so a checkpoint made there is always one
        from which it is still to come.
        """
        self.report(now=True)
        began, waited_s = time.perf_counter(), self.feed.waited_s
        meter = Meter(self.replica.device)
        with self.replica.synchronized():
            self.replica.evaluate(self.val_subset_batches(), meter)
        totals, _ = meter.take()
        failing, *totals = sums(
            self.exchange.all_gather([self.leave_if_data_fails(within=1 + self.exchange.lag), *totals])
        )
        if failing:
            return False
        self.recorder.validation_subset(self.progress, Metrics.of(totals))
        self.deferred_metrics.clock.leave_out(time.perf_counter() - began, self.feed.waited_s - waited_s)
        return True

    def val_batches(self) -> Iterator[Batch]:
        """This worker's validation batches, broken off when it is to leave."""
        for _ in range(self.plan.val.iterations):
            if self.leave_if_data_fails() or self.exchange.stop_requested:
                return
            self.client.heartbeat(f"validating after epoch {self.progress.epoch + 1}")
            yield next(self.feed)
            self.recorder.validated()
        self.leave_if_data_fails(within=1 + self.exchange.lag)  # those that the next epoch's first update relies on

    def val_subset_batches(self) -> Iterator[Batch]:
        """This worker's batches of the subset: few, so they are broken off only where one cannot be read."""
        for _ in range(self.plan.val_subset.iterations):
            if self.feed.fails():
                return
            self.client.heartbeat(f"validating a subset at iteration {self.progress.iteration}")
            yield next(self.feed)

    def report(self, *, now: bool = False) -> None:
        """Record the figures that are due. Raises AllDivergedError if a loss was no number."""
        for report in self.deferred_metrics.due(now=now):
            if report.first_bad < math.inf:
                self.refuse(f"the loss is no number since iteration {report.first_bad + 1:.0f}")
            at = replace(self.progress, iteration=report.iteration)
            self.recorder.training(at, report.totals, report.rate, report.times, self.config.world_size)

    def refuse(self, what: str) -> NoReturn:
        """Raises AllDivergedError; called by all workers at the same point."""
        self.checkpoint_writer.finish()  # it is the last good checkpoint: to be named, and gone back to
        raise AllDivergedError(what, str(self.snapshots.diverged(what, self.progress)))


def run(context: Context) -> None:
    """Build every part, train, and take the parts down again."""
    config, data = context.config, context.sheet.data
    device, dtype = init_device(config, context.rank)
    exchange = join(context, device)
    parts = build(context, exchange, device, dtype)
    replica, snapshots, plan, progress = parts.replica, parts.snapshots, parts.plan, parts.progress
    if context.rank == 0 and progress.epoch < config.run.n_epochs:
        snapshots.require_room()
        claim_run_dir(config, context.sheet.command)
        mark_started(context.folder)
    exchange.all_gather([])  # from here on the run's log is ours, and loaders may write to it
    feed = open_feed(context, plan.run(progress.epoch, progress.iteration), data, device)
    if progress.epoch < config.run.n_epochs:
        context.client.heartbeat("opening the log")
        recorder = recorder_of(context, plan, progress, device)
        recorder.say("\n".join(filter(None, [run_summary(config, data, replica, dtype), parts.origin])))
        if context.rank == 0:
            if advice := snapshots.advice_on_room():
                recorder.warn(advice)
            write_environment(config.run.weights_dir, facts(config, replica.model, plan))
        train(Trainer(context, parts, feed, recorder))
    elif context.rank == 0:
        last = f"epoch {progress.epoch} of {config.run.n_epochs}"
        done = f"nothing is left to do: {last} is done; raise run.n_epochs for more"
        BrokenPipeGuard(console(config.run.n_epochs, quiet=config.logging.quiet)).say(done)
    exchange.close()  # a meeting of all, so that from here on every process ends soon
    feed.close()
    refuse_failure(feed)


def train(trainer: Trainer) -> None:
    """Train to the end, or until a signal asks to stop: the supervisor is told which, and what is saved."""
    asked_by: list[int] = []

    def request_stop(number: int, _: object) -> None:
        asked_by.append(number)
        trainer.exchange.request_stop()

    signal.signal(signal.SIGTERM, request_stop)
    try:
        trainer.train()
    finally:
        # Not kept as a handler: what it holds would outlive the interpreter, and memory lent through CUDA must not.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    trainer.client.heartbeat("stopping")
    if asked_by and trainer.progress.epoch < trainer.config.run.n_epochs:
        trainer.client.left(asked_by[0], trainer.checkpoint_writer.last)
    trainer.recorder.close()


def recorder_of(context: Context, plan: Plan, progress: Progress, device: torch.device) -> Recorder | NullRecorder:
    """Worker 0 records for all."""
    if context.rank:
        return NullRecorder()
    return open_recorder(context.config, context.name, progress, plan, device)


def refuse_failure(feed: Feed) -> None:
    """Raises DataError where the training ended because a batch could not be read."""
    if feed.failure:
        raise DataError(
            f"{feed.failure}; all training before that is saved: start the same command again then, and it goes on"
        )


if __name__ == "__main__":
    sys.exit(run_role("trainer", run))
