"""Settings as Python has them: mappings of keys to values."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from ..commands.configuration import parse_config
from ..config.dump import flow
from ..config.schema import Config
from ..system.program import spec_file

Settings = Mapping[str, Any]
"""values by dotted key ("optimizer.learning_rate"), or sections as mappings ({"optimizer": {"learning_rate": 0.02}})"""

StrPath = str | os.PathLike[str]


def arguments(settings: Settings | None, *, config: StrPath | None, workers: int) -> list[str]:
    """Return the options of the command line that stand for these settings. Raises ConfigError for ``workers``."""
    files = [f"--spec={spec_file(workers)}"] if workers > 1 else []
    files += [f"--config={os.fspath(config)}"] if config is not None else []
    return files + [f"--{key}={_text(value)}" for key, value in _dotted(settings or {})]


def read_config(options: list[str]) -> Config:
    """Return the configuration that these options give. Raises ConfigError."""
    config, _ = parse_config(options, description="", spec=spec_file(1), prog="tandem")
    return config


def _dotted(settings: Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _text(value: Any) -> str:
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    return flow(tuple(value) if isinstance(value, list) else value)
