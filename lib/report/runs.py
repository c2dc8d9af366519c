"""What a run's folder says: configuration, figures and environment. Needs neither the data set nor torch."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import yaml

from lib.config.command_line import parse
from lib.config.schema import Config
from lib.errors import ConfigError
from lib.recording.entries import read_entries

MetricsEntry: TypeAlias = dict[str, Any]
# Settings that two runs may have different and still train the same.
_NO_MATTER = ("logging.", "run.weights_dir", "run.resume", "run.keep", "run.snapshot", "run.patience")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run, as its folder tells it."""

    name: str
    folder: Path
    settings: dict[str, str]
    """every key of the configuration, dotted, with its value as text"""
    train: list[MetricsEntry]
    """whole lines of metrics.jsonl, each with ``at``: epochs done, a fraction"""
    val: list[MetricsEntry]
    environment: dict[str, Any]

    @property
    def best(self) -> MetricsEntry | None:
        """The validation with the lowest top-1 error."""
        return min(self.val, key=lambda entry: entry["top1_error"], default=None)

    @property
    def resume_command(self) -> str:
        """Goes on from the latest checkpoint."""
        options = "" if self.settings.get("run.resume") == "auto" else " --run.resume auto"
        return self._command + options

    @property
    def repeat_command(self) -> str:
        """Trains the same from the start, in a folder of its own."""
        again = shlex.quote(f"{self.folder}_again")
        return f"{self._command} --run.resume never --run.weights_dir {again}"

    @property
    def _command(self) -> str:
        file = shlex.quote(str(self.folder / "config.yaml"))
        return f"python train.py --config {file} --spec {file}"


def read_run(folder: Path) -> Run:
    """The run in ``folder``. Raises ConfigError when there is none."""
    if not (folder / "config.yaml").is_file():
        raise ConfigError(f"{folder} holds no run: there is no {folder / 'config.yaml'}; name a run's weights_dir")
    tree = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    environment = _environment(folder / "environment.json")
    entries: list[MetricsEntry] = [msgspec.structs.asdict(entry) for entry in read_entries(folder / "metrics.jsonl")]
    iterations = environment.get("iterations") or max((entry["iteration"] for entry in entries), default=1)
    for entry in entries:
        done = 1.0 if entry["kind"] == "val" else entry["iteration"] / max(iterations, 1)
        entry["at"] = entry["epoch"] - 1 + done
    return Run(
        name=folder.resolve().name,
        folder=folder,
        settings=_dotted(tree),
        train=[entry for entry in entries if entry["kind"] == "train"],
        val=[entry for entry in entries if entry["kind"] == "val"],
        environment=environment,
    )


def read_config(folder: Path) -> Config:
    """The run's configuration. Raises ConfigError when this version does not understand it."""
    file = folder / "config.yaml"
    return parse([], description="", config=file, spec=file)[0]


def differing(runs: list[Run]) -> dict[str, list[str]]:
    """Keys that matter to the outcome and differ among ``runs``, with the value of each run."""
    keys = dict.fromkeys(key for run in runs for key in run.settings if not key.startswith(_NO_MATTER))
    rows = {key: [run.settings.get(key, "") for run in runs] for key in keys}
    return {key: values for key, values in rows.items() if len(set(values)) > 1}


def _environment(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _dotted(tree: dict[str, Any], prefix: str = "") -> dict[str, str]:
    rows: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            rows |= _dotted(value, f"{prefix}{key}.")
        else:
            rows[prefix + key] = json.dumps(value) if isinstance(value, list | bool) else str(value)
    return rows
