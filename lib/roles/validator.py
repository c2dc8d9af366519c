"""The validator role: one checkpoint's figures over every validation image."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from lib import checkpoint
from lib.console import describe
from lib.data.plan import Plan
from lib.data.upload import Batch
from lib.exchange.alone import Alone
from lib.metrics import Figures, Meter
from lib.replica import Replica
from lib.roles.process import Context, run_role
from lib.roles.setup import identity, open_feed, set_up


def run(context: Context) -> None:
    """Print one line of figures for the checkpoint that ``run.resume`` names."""
    config, data = context.config, context.sheet.data
    device, dtype = set_up(config, context.rank)
    replica = Replica(config, data, device, dtype, Alone(device))
    path = Path(config.run.resume)
    saved = checkpoint.load(path)
    # Any data set will do, as long as the network fits it.
    here = identity(config, data)
    checkpoint.refuse_other(path, replace(saved.identity, data_fingerprint=here.data_fingerprint), here)
    replica.model.load_state_dict(saved.parameters)
    plan = Plan(config, data, rank=0, crop=replica.crop)
    feed = open_feed(context, plan.validation(0), data, device)
    meter = Meter(device)
    replica.evaluate(_watched(feed, context), meter)
    totals, _ = meter.take()
    figures = Figures.of(totals)
    print(f"{path}: {describe(figures)}  over {figures.images:,} images", flush=True)
    feed.close()


def _watched(batches: Iterable[Batch], context: Context) -> Iterator[Batch]:
    """``batches``, each with a sign of life."""
    for batch in batches:
        context.hotline.alive("validating")
        yield batch


if __name__ == "__main__":
    sys.exit(run_role("validator", run))
