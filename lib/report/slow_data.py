"""Advise on a run that waited for its data, as the console did while it ran."""

from lib.data.sources.registry import source_kind
from lib.errors import UserError
from lib.recording.intervals import WaitAdvice
from lib.report.runs import Run, read_inputs


def wait_advice(run: Run) -> str:
    """Return the first interval that waited too long, with its share and what to change; "" if there is none.

    The console skips the first interval of each process. ``metrics.jsonl`` does not record where a run was resumed, so
    here only the run's first interval is skipped.
    """
    try:
        data = read_inputs(run.folder).data
        advice = WaitAdvice(source_kind(data.source).speed_advice(data))
    except UserError:  # a configuration of another version, which this one cannot read
        return ""
    for entry in run.train:
        if text := advice.after(entry.values.get("wait", 0.0), entry.seconds):
            return f"Epoch {entry.epoch}, iteration {entry.iteration:,}: {text}"
    return ""
