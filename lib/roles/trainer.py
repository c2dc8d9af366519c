"""The trainer role: one replica of the network on one device, fed by its loader, averaged with the others."""

import math
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

from ..checkpoints.progress import Progress
from ..data.feed import Feed
from ..data.upload import Batch
from ..errors import AllDivergedError, DataError
from ..recording.console import open_console
from ..recording.environment import write_environment
from ..recording.recorder import NullRecorder
from ..recording.settings_log import Settings
from ..rng import Stream, rollback_seed, torch_seed
from ..runtime.pace import Pace
from ..runtime.process import Context, mark_started, run_role
from ..runtime.run_dir import claim_run_dir, refuse_changed_settings
from ..system.signals import WARNINGS
from ..training.schedule import learning_rate, weight_decay
from ..training.snapshots import broadcast_progress
from .builders import build_recorder, init_device, open_feed
from .checkpoint_writer import CheckpointWriter
from .data_guard import DataGuard
from .deferred_metrics import DeferredMetrics
from .exchange_builder import build_exchange
from .run_summary import resolved_config, run_facts, run_summary
from .train_state import TrainState, build, plan_from
from .validation import Validation

# Updates between two looks at worker 0's clock, which all workers wait for.
_CLOCK_FREQ = 20


class Trainer:
    """One worker's part of a run, from ``progress`` to its end. All workers call the same methods."""

    def train_epoch(self) -> None:
        """Train to the end of the current epoch, or until all replicas stop."""
        at, iterations = self.progress, self.plan.train.iterations
        size = self.config.augment.size(at.epoch, self.config.run.n_epochs)
        self.replica.transform.size = size or self.replica.crop
        self.recorder.begin("train", at, iterations)
        self.metrics.begin()
        while at.iteration < iterations and not self.exchange.stopping:
            first = at.iteration
            if not self.train_update():
                break
            self.after_update(first)
        self.metrics.note(at.iteration, self.lr)
        self.report(now=True)
        self.recorder.end()

    def train_update(self) -> bool:
        """Train the batches of one update. Return False, on all workers, if one of them cannot read its batches."""
        update = self.plan.train.of_one_update(self.progress.iteration, self.config.optimizer.accumulate)
        images = sum(map(self.plan.train.all_workers_count, update))
        counted = self.metrics.meter.counted() if len(update) > 1 else {}
        for iteration, batch in self.batches(update):
            self.step.gradients(
                batch,
                self.metrics.meter,
                loss_scale=self.config.world_size / images,
                iteration=iteration,
                seed=self.dropout_seed(iteration),
            )
        if self.cannot_update(update):
            if counted:  # a resume trains these batches again
                self.metrics.meter.restore(counted)
            return False
        self.lr, decay = self.lr_and_decay()
        self.step.update(self.lr, decay)  # average with the other replicas, then move the weights
        self.exchange.sync_stop()
        self.progress.iteration = update.stop
        self.metrics.updated()
        return True

    def __init__(self, context: Context, state: TrainState, feed: Feed, recorder: NullRecorder) -> None:
        self.context, self.config = context, context.config
        self.replica, self.step = state.replica, state.replica.step
        self.exchange, self.snapshots = state.exchange, state.snapshots
        self.plan, self.progress = state.plan, state.progress
        self.feed, self.recorder = feed, recorder
        self.guard = DataGuard(feed, state.exchange, together=self.replica.is_split)
        self.validation = Validation(context, state.replica, feed, state.exchange, self.guard)
        self.metrics = DeferredMetrics(state.replica.device, feed, state.exchange)
        self.pace = Pace(context.client, context.config.run.patience_s)
        self.lr = 0.0
        """learning rate of the last update"""
        self.missing = False
        """whether this worker cannot read a batch of the current update"""
        self.snapshot_due = False
        """whether a checkpoint within the epoch waits until replicas are equal"""
        self.writer = CheckpointWriter(context, state, recorder)

    def train(self) -> None:
        """Train and validate epoch by epoch, until all are done or all replicas stop."""
        nothing_saved = self.snapshots.rollback_target(self.progress) is None  # as worker 0, which saves, sees it
        if self.config.run.on_nan == "rollback" and self.exchange.all_gather([nothing_saved])[0][0]:
            with self.replica.sync.synchronized():
                self.writer.begin(self.progress)  # so that there always is a checkpoint to go back to
        going = True
        try:
            while going and not self.progress.is_done(self.config.run):
                try:
                    going = self.train_and_validate()
                except AllDivergedError as error:
                    going = self.rollback(error)
        finally:
            self.writer.finish()
        if going and self.progress.epoch < self.config.run.n_epochs:
            self.recorder.info(f"stopped:  {self.progress.reason_done(self.config.run)}")

    def train_and_validate(self) -> bool:
        """Finish the current epoch and save what is due. Return False if all replicas stop before."""
        at, run = self.progress, self.config.run
        self.train_epoch()
        with self.replica.sync.synchronized():
            if self.exchange.stopping or not self.validate():
                self.writer.begin(at)
                return False
            for block in self.replica.state.trained:
                self.exchange.verify(block)
            at.epoch, at.iteration = at.epoch + 1, 0
            if at.epoch % run.snapshot_freq == 0 or at.is_done(run):
                self.writer.begin(at)
            elif at.is_best:
                self.writer.begin(at, soon=True)
        if not self.writer.busy:  # otherwise the page is refreshed once the checkpoint is written
            self.recorder.refresh_page()
        return True

    def after_update(self, first: int) -> None:
        """Report and save what is due after an update that began with iteration ``first``."""
        at, print_freq = self.progress, self.config.logging.print_freq
        if self.metrics.updates == 1 and self.context.rank == 0:
            self.recorder.first(self.metrics.meter.so_far())
        if at.iteration // print_freq > first // print_freq:
            self.metrics.note(at.iteration, self.lr)
        self.report()
        self.writer.poll()
        self.save_if_due(first)

    def save_if_due(self, first: int) -> None:
        """Save a checkpoint within an epoch if worker 0's clock asks for one, at the next moment of equal replicas."""
        at, freq = self.progress, min(_CLOCK_FREQ, self.config.logging.print_freq)
        if self.config.world_size == 1:
            self.snapshot_due = self.snapshots.due()
        elif self.config.run.snapshot_minutes and at.iteration // freq > first // freq:
            self.snapshot_due = bool(self.exchange.all_gather([self.snapshots.due()])[0][0])
        if self.snapshot_due and self.replica.sync.in_sync:
            self.snapshot_due = False
            # A resume finds the metrics of every image that the checkpoint has seen.
            self.metrics.note(at.iteration, self.lr)
            self.report(now=True)
            with self.replica.sync.synchronized():
                self.writer.begin(at)

    def batches(self, update: range) -> Iterator[tuple[int, Batch]]:
        """Yield the iterations of one update with this worker's batches, as far as all can be read."""
        self.missing = False
        for iteration in update:
            if self.plan.subset_due(iteration) and not self.validate_subset():
                self.missing = True
                return
            # The first batch of an update was checked before the update before.
            self.missing = self.missing or (iteration > update.start and self.guard.fails_within_update())
            if not self.missing:
                batch = next(self.feed)
                with self.pace.work(f"training iteration {iteration + 1} of epoch {self.progress.epoch + 1}"):
                    yield iteration, batch
                self.feed.release()
                self.recorder.step()

    def cannot_update(self, update: range) -> bool:
        """Return whether any worker lacks a batch of ``update``; ask all to stop if the batches after it fail here."""
        if (len(update) == 1 and not self.missing) or not any(
            row[0] for row in self.exchange.all_gather([self.missing])
        ):
            self.guard.fails(within=self.guard.ahead)
            return False
        return True

    def dropout_seed(self, iteration: int) -> int:
        """Return the seed of this worker's dropout in ``iteration``."""
        seed = rollback_seed(self.config.run.seed, self.progress.rollbacks)
        rank = 0 if self.replica.is_split else self.context.rank  # workers that compute together draw the same masks
        return torch_seed(Stream.DROPOUT, seed, self.progress.epoch, iteration, rank)

    def lr_and_decay(self) -> tuple[float, float]:
        """Return learning rate and weight decay of the next update."""
        config, at = self.config, self.progress
        # The middle of the iteration, so that neither end of a curve is a rate of 0.
        epoch = at.epoch + (at.iteration + 0.5) / self.plan.train.iterations
        lr = learning_rate(
            config.optimizer.learning_rate,
            config.schedule,
            epoch=epoch,
            n_epochs=config.run.n_epochs,
            val_errors=at.val_errors,
        )
        return lr, weight_decay(config.optimizer.weight_decay, config.schedule, epoch=epoch)

    def validate(self) -> bool:
        """Validate after an epoch. Return False if all replicas stop instead."""
        self.recorder.begin("val", self.progress, self.plan.val.iterations)
        metrics = self.validation.whole_set(self.plan, self.progress.epoch, self.recorder)
        if metrics is None:
            return False
        if not math.isfinite(metrics.loss):
            self.writer.diverged("the validation loss is NaN or infinite at the end", self.progress)
        self.progress.val_record.append((metrics.top1_error, metrics.loss))
        self.recorder.validation(self.progress, metrics)
        return True

    def validate_subset(self) -> bool:
        """Validate a subset within an epoch. Return False, on all workers, if one of them cannot read its data.

        It comes before the iteration, not after the one before: a checkpoint made there is always one whose subset is
        still to be validated.
        """
        self.report(now=True)
        began, waited_s = time.perf_counter(), self.feed.waited_s
        metrics = self.validation.subset(self.plan, self.progress.iteration)
        if metrics is None:
            return False
        self.recorder.validation_subset(self.progress, metrics)
        self.metrics.timer.exclude(time.perf_counter() - began, self.feed.waited_s - waited_s)
        return True

    def report(self, *, now: bool = False) -> None:
        """Record the metrics that are due. Raise AllDivergedError if a loss was NaN or infinite."""
        for interval in self.metrics.due(now=now):
            if interval.first_bad < math.inf:
                what = f"the loss became NaN or infinite at iteration {interval.first_bad + 1:.0f}"
                self.writer.diverged(what, self.progress)
            at = replace(self.progress, iteration=interval.iteration)
            self.recorder.interval(at, interval)

    def rollback(self, error: AllDivergedError) -> bool:
        """Go back to the last epoch's checkpoint, on all workers, to continue in another order.

        Return False if all replicas stop: the resume will come to the same point and go back then. Raise ``error`` if
        ``run.on_nan`` or ``run.rollbacks`` forbid it.
        """
        run, rollbacks = self.config.run, self.progress.rollbacks + 1
        if run.on_nan == "stop" or rollbacks > run.rollbacks:
            raise error
        what = f"{error.what} of epoch {self.progress.epoch + 1}"
        if self.exchange.stopping:
            self.recorder.warning(f"{what}, so this is not saved; start again: the run continues from before that")
            return False
        self.context.client.heartbeat("going back to the last checkpoint", patience_s=10 * run.patience_s)
        times = f"{rollbacks} of at most {run.rollbacks} times (run.rollbacks)"
        self.recorder.warning(f"{what}; going back to the last epoch's checkpoint, {times}")
        target = self.snapshots.rollback_target(self.progress)
        saved = self.snapshots.restore(target) if self.context.rank == 0 and target else Progress()
        self.progress = replace(broadcast_progress(saved, self.replica, self.exchange), rollbacks=rollbacks)
        self.plan = plan_from(self.context, self.replica, self.progress)
        self.feed.restart(self.plan.run(self.progress.epoch, self.progress.iteration))
        self.metrics.drop()
        self.recorder.close()
        self.recorder = build_recorder(self.context, self.plan, self.progress, self.replica.device)
        self.writer.recorder = self.recorder
        with self.replica.sync.synchronized():
            self.writer.begin(self.progress)  # with its count of rollbacks: a resume goes the other way, too
        return True


def run(context: Context) -> None:
    """Build every part, train, and take the parts down again."""
    config, data = context.config, context.sheet.data
    device, dtype = init_device(config, context.rank)
    exchange = build_exchange(context, device)
    state = build(context, exchange, device, dtype)
    replica, snapshots, plan, progress = state.replica, state.snapshots, state.plan, state.progress
    settings, notes = Settings.of(config, progress.epoch, progress.iteration), []
    if context.rank == 0 and not progress.is_done(config.run):
        context.be_patient("preparing run.weights_dir")
        snapshots.require_room()
        notes = claim_run_dir(
            config.run, settings, resolved_config(config), context.sheet.command, anew=snapshots.start() is None
        )
        mark_started(context.folder)
    exchange.all_gather([])  # from here on the run's log is ours, and loaders may write to it
    feed = open_feed(context, plan, plan.run(progress.epoch, progress.iteration), device)
    if not progress.is_done(config.run):
        context.be_patient("opening the log")
        recorder = build_recorder(context, plan, progress, device)
        summary = run_summary(config, data, replica, dtype, plan.train.iterations)
        recorder.info("\n".join(filter(None, [summary, state.origin, *notes])))
        if context.rank == 0:
            if advice := snapshots.advice_on_room():
                recorder.warning(advice)
            write_environment(config.run.weights_dir, run_facts(context, replica, plan))
        train_until_stopped(Trainer(context, state, feed, recorder))
    elif context.rank == 0:
        refuse_changed_settings(config.run.weights_dir, settings)
        done = f"nothing is left to do: {progress.reason_done(config.run)}"
        open_console(config.run.n_epochs, quiet=config.logging.quiet).info(done)
    replica.step.close()
    exchange.close()  # all workers meet here, so from here on every process ends soon
    feed.close()
    if feed.failure:
        raise DataError(
            f"{feed.failure}; all training before that is saved: start the same command again then, and it goes on"
        )


def train_until_stopped(trainer: Trainer) -> None:
    """Train to the end, or until a signal; tell the supervisor which one it was, and what is saved."""
    signals: list[int] = []

    def request_stop(number: int, _: object) -> None:
        signals.append(number)
        trainer.exchange.request_stop()

    for number in WARNINGS:
        signal.signal(number, request_stop)
    try:
        trainer.train()
    finally:
        # A handler that stays would keep the trainer past the interpreter's end, and so memory lent through CUDA.
        for number in WARNINGS:
            signal.signal(number, signal.SIG_IGN)
    trainer.context.client.heartbeat("stopping")
    if signals and not trainer.progress.is_done(trainer.config.run):
        trainer.context.client.stopped(signals[0], trainer.writer.last)
    trainer.recorder.close()


if __name__ == "__main__":
    sys.exit(run_role("trainer", run))
