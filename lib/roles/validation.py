"""Validation during training: of the whole validation set after each epoch, of a subset within one."""

from collections.abc import Iterator

from ..data.feed import Feed
from ..data.plan import Plan
from ..data.upload import Batch
from ..evaluation.metrics import Meter, Metrics
from ..exchange.base import Exchange, sums
from ..recording.recorder import NullRecorder
from ..runtime.pace import Pace
from ..runtime.process import Context
from ..training.precise_bn import measure_norms
from ..training.replica import Replica
from ..training.step import evaluate
from .data_guard import DataGuard


class Validation:
    """One worker's part in it. All workers call the same methods at the same points."""

    def __init__(self, context: Context, replica: Replica, feed: Feed, exchange: Exchange, guard: DataGuard) -> None:
        self._pace = Pace(context.client, context.config.run.patience_s)
        self._replica, self._feed = replica, feed
        self._exchange, self._guard = exchange, guard

    def whole_set(self, plan: Plan, epoch: int, recorder: NullRecorder) -> Metrics | None:
        """Return loss and errors over all validation images; None, on all workers, if they are to stop instead."""
        if plan.norm_batches:
            state = self._replica.state
            measure_norms(self._replica.step, self._norm_batches(plan, epoch), *state.norms)
            state.average_norms(self._exchange)
        meter = Meter(self._replica.device)
        evaluate(self._replica.step, self._batches(plan, epoch, recorder), meter)
        totals, _ = meter.take()
        metrics = Metrics.of(sums(self._exchange.all_gather(totals)))
        return None if self._exchange.stopping else metrics

    def subset(self, plan: Plan, iteration: int) -> Metrics | None:
        """Return loss and errors over the subset of the validation images.

        Return None, on all workers, if one of them cannot read a batch of it or the training batches that follow.
        """
        meter = Meter(self._replica.device)
        with self._replica.sync.synchronized():
            evaluate(self._replica.step, self._subset_batches(plan, iteration), meter)
        totals, _ = meter.take()
        fails = self._guard.fails(within=self._guard.ahead)
        failing, *totals = sums(self._exchange.all_gather([fails, *totals]))
        return None if failing else Metrics.of(totals)

    def _norm_batches(self, plan: Plan, epoch: int) -> Iterator[Batch]:
        """Yield this worker's batches to measure norms by; ends early as ``_batches`` does."""
        for _ in range(plan.norm_batches):
            if self._guard.fails() or self._exchange.stop_requested:
                return
            batch = next(self._feed)
            with self._pace.work(f"measuring norms after epoch {epoch + 1}"):
                yield batch

    def _batches(self, plan: Plan, epoch: int, recorder: NullRecorder) -> Iterator[Batch]:
        """Yield this worker's validation batches; stop early where it is asked to, or cannot read one."""
        for _ in range(plan.val.iterations):
            if self._guard.fails() or self._exchange.stop_requested:
                return
            batch = next(self._feed)
            with self._pace.work(f"validating after epoch {epoch + 1}"):
                yield batch
            recorder.step()
        self._guard.fails(within=self._guard.ahead)  # the next epoch's first update relies on these batches

    def _subset_batches(self, plan: Plan, iteration: int) -> Iterator[Batch]:
        """Yield this worker's batches of the subset: few, so only a batch that cannot be read ends them early."""
        for _ in range(plan.val_subset.iterations):
            if self._feed.fails():
                return
            batch = next(self._feed)
            with self._pace.work(f"validating a subset at iteration {iteration}"):
                yield batch
