"""Read configuration files."""

from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .convert import build, from_yaml
from .field_type import field_types
from .hints import key_hint
from .schema import Config
from .yaml_file import read_settings


def load_config(file: Path) -> Config:
    """Return the configuration that ``file`` holds. Absent keys have their defaults, not a recipe's values.

    Raises ConfigError naming the file.
    """
    values = read_file(file)
    try:
        return build(Config, values)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None


def read_file(file: Path) -> dict[str, Any]:
    """Return every value that ``file`` sets, by dotted key. Raises ConfigError naming the file."""
    kinds, values = field_types(Config), {}
    for key, value in read_settings(file):
        try:
            if key in kinds:
                values[key] = from_yaml(key, value, kinds[key])
            elif value or not any(name.startswith(f"{key}.") for name in kinds):  # not an empty section
                raise ConfigError(f"unknown key {key}{key_hint(key, kinds)}")
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from None
    return values
