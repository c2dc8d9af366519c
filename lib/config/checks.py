"""What sections of the configuration ask of their values."""

from lib.errors import ConfigError


def at_least(key: str, value: int, least: int) -> None:
    """Raises ConfigError where ``value`` is below ``least``."""
    if value < least:
        raise ConfigError(f"{key} is {value}; it must be at least {least}")


def positive(key: str, value: float) -> None:
    """Raises ConfigError where ``value`` is not above 0, or no number."""
    if not value > 0:
        raise ConfigError(f"{key} is {value:g}; it must be above 0")
