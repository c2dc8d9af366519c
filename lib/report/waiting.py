"""What a run that waited for its data is told, as it was while it ran."""

from lib.data.sources.registry import source_kind
from lib.errors import UserError
from lib.recording.intervals import WaitAdvice
from lib.report.runs import Run, read_config


def wait_advice(run: Run) -> str:
    """Of the first interval that waited too long: which it was, its share, and what to change; or nothing.

    The terminal leaves out the first interval of each process. Where a run was resumed is not in its figures, so here
    only the run's first one is left out.
    """
    try:
        data = read_config(run.folder).data
        advice = WaitAdvice(source_kind(data.source).speed_advice(data))
    except UserError:  # the run is of another version, which this one does not understand
        return ""
    for entry in run.train:
        if text := advice.after(entry.values.get("wait", 0.0), entry.seconds):
            return f"Epoch {entry.epoch}, iteration {entry.iteration:,}: {text}"
    return ""
