"""Read a run's folder: configuration, metrics and environment. Does not need the data set."""

import json
import shlex
import statistics
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from ..config.load import load_config
from ..config.schema import AugmentConfig, Config, DataConfig, NormalizeConfig
from ..config.yaml_file import read_settings
from ..data.order import BatchOrder
from ..data.sources.registry import source_kind
from ..errors import ConfigError, UserError, reading
from ..evaluation.plot import drawable
from ..recording.intervals import WaitAdvice
from ..recording.metrics_log import MetricsEntry, read_lines
from ..recording.settings_log import describe_history, read_history


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run, as its folder records it."""

    name: str
    folder: Path
    settings: dict[str, str]
    """every key of the configuration, dotted, with its value as YAML"""
    changes: list[str]
    """a line for each change of the settings while it trained"""
    train: list[MetricsEntry]
    val: list[MetricsEntry]
    iterations: int
    """iterations of an epoch"""
    environment: dict[str, Any]

    @property
    def best(self) -> MetricsEntry | None:
        """The validation with the lowest top-1 error."""
        return min(self.val, key=lambda entry: entry.values["top1_error"], default=None)

    def epochs(self, entry: MetricsEntry) -> float:
        """Return how many epochs were done when ``entry`` was written."""
        return entry.epoch - 1 + (1.0 if entry.kind == "val" else entry.iteration / self.iterations)

    @cached_property
    def _clock(self) -> tuple[list[tuple[int, float]], list[float]]:
        """The position of each training entry, and the seconds of training until then."""
        return [entry.position for entry in self.train], list(accumulate(entry.seconds for entry in self.train))

    def seconds(self, entry: MetricsEntry) -> float:
        """Return how long training had taken when ``entry`` was written, without validations and pauses."""
        positions, totals = self._clock
        done = bisect_right(positions, entry.position)
        return totals[done - 1] if done else 0.0

    @property
    def duration(self) -> float:
        """Seconds of training."""
        return sum(entry.seconds for entry in self.train)

    @property
    def images_per_s(self) -> float:
        """The median speed; 0 if none was recorded."""
        return statistics.median([entry.values.get("images_per_s", 0.0) for entry in self.train] or [0.0])

    @property
    def memory(self) -> float:
        """The most bytes that worker 0 held on its device; 0 if they were not recorded."""
        return max((entry.values.get("memory", 0.0) for entry in self.train), default=0.0)

    @property
    def resume_command(self) -> str:
        """The command that continues from the latest checkpoint."""
        options = "" if self.settings.get("run.resume") == "auto" else " --run.resume auto"
        return self._command + options

    @property
    def repeat_command(self) -> str:
        """The command that trains the same from the start, in another folder."""
        folder = shlex.quote(f"{self.folder}_again")
        return f"{self._command} --run.resume never --run.weights_dir {folder}"

    @property
    def _command(self) -> str:
        file = shlex.quote(str(self.folder / "config.yaml"))
        return f"python train.py --config {file} --spec {file}"


def read_run(folder: Path) -> Run:
    """Read the run in ``folder``. Raises ConfigError if there is none."""
    if not (folder / "config.yaml").is_file():
        raise ConfigError(f"{folder} holds no run: there is no {folder / 'config.yaml'}; name a run's weights_dir")
    settings = {key: _as_text(value) for key, value in read_settings(folder / "config.yaml")}
    if not settings.keys() >= {"model.name", "run.n_epochs"}:
        raise ConfigError(
            f"{folder / 'config.yaml'} is not that of a run, or damaged: it names no network or no epochs"
        )
    recorded = folder / "environment.json"
    with reading(recorded, ConfigError, "remove it: it only describes the machine"):
        environment = json.loads(recorded.read_text(encoding="utf-8")) if recorded.exists() else {}
    entries = [entry for entry, _ in read_lines(folder / "metrics.jsonl") if entry]
    iterations = environment.get("iterations") or max((entry.iteration for entry in entries), default=1)
    return Run(
        name=drawable(folder.resolve().name),
        folder=folder,
        settings=settings,
        changes=describe_history(read_history(folder)),
        train=[entry for entry in entries if entry.kind == "train"],
        val=[entry for entry in entries if entry.kind == "val"],
        iterations=max(iterations, 1),
        environment=environment,
    )


@dataclass(frozen=True, kw_only=True)
class InputSettings:
    """What decides which images a run's network gets, and how they are augmented and normalized."""

    data: DataConfig
    augment: AugmentConfig
    normalize: NormalizeConfig
    order: BatchOrder
    by_name: bool
    """whether the data set's classes must have the names that a checkpoint holds (model.classes)"""


def read_inputs(folder: Path) -> InputSettings:
    """Read the run's settings of its inputs. Raises ConfigError if this version cannot read its configuration."""
    config: Config = load_config(folder / "config.yaml")
    order = BatchOrder.of(
        config.data,
        config.augment,
        config.run,
        config.logging,
        batch_size=config.batch_size,
        world_size=config.world_size,
    )
    return InputSettings(
        data=config.data,
        augment=config.augment,
        normalize=config.normalize,
        order=order,
        by_name=config.model.classes == "by_name",
    )


def wait_advice(run: Run) -> str:
    """Return the first interval that waited too long for data, with its share and what to change, or "".

    The console skips the first interval of each process. ``metrics.jsonl`` does not record where a run was resumed, so
    here only the run's first interval is skipped. So is an epoch that fills ``data.cache: disk``: no later one is slow.
    """
    cache = run.environment.get("cache", "none")
    try:
        data = read_inputs(run.folder).data
        advice = WaitAdvice(partial(source_kind(data).speed_advice, data, cache))
    except UserError:  # a configuration of another version, which this one cannot read
        return ""
    for entry in run.train:
        if cache == "disk" and entry.epoch == 1:
            continue
        if text := advice.after(entry.values.get("wait", 0.0), entry.seconds):
            return f"Epoch {entry.epoch}, iteration {entry.iteration:,}: {text}"
    return ""


def _as_text(value: Any) -> str:
    """Return a value of ``read_settings`` on one line, its texts without quotes.

    >>> _as_text(["20", "40"]), _as_text(None), _as_text([{"rate": "0.5"}])
    ('[20, 40]', 'null', '[{rate: 0.5}]')
    """
    match value:
        case None:
            return "null"
        case list():
            return f"[{', '.join(map(_as_text, value))}]"
        case dict():
            return f"{{{', '.join(f'{key}: {_as_text(part)}' for key, part in value.items())}}}"
    return str(value)
