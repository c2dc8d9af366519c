"""The exceptions of this program. A message says what is wrong, where, and how to fix it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """An error that the user can fix. It is shown as one line, without a traceback."""


class ConfigError(UserError):
    """A setting is missing, unknown, or has a value that cannot be used."""


class DataError(UserError):
    """The data set on disk is missing, damaged, or not the expected one."""


class UnavailableError(DataError):
    """Data cannot be read now, but perhaps later: nothing may replace it."""


class CheckpointError(UserError):
    """A checkpoint cannot be read, or belongs to another training."""


class WeightsError(UserError):
    """A file of weights cannot be read, or belongs to another network."""


class DivergedError(UserError):
    """The loss or the weights became NaN or infinite."""


class AllDivergedError(DivergedError):
    """A divergence that all workers detected at the same point, so that they can react together.

    ``what`` says what happened; ``message`` adds what the user can do.
    """

    def __init__(self, what: str, message: str) -> None:
        super().__init__(message)
        self.what = what


class ResourceError(UserError):
    """The machine has too little memory, disk space or open files."""


class PeerLost(RuntimeError):
    """The process at the other end of a channel does not answer."""


class ProtocolError(RuntimeError):
    """A peer sent something other than what the protocol expects next."""


class ReplicasDiffer(RuntimeError):
    """Replicas that should be equal bit for bit differ."""


def error_text(error: BaseException) -> str:
    """Return the message of ``error``, or a short text if it has none.

    >>> error_text(MemoryError()), error_text(ValueError(" too long ")), error_text(KeyboardInterrupt())
    ('out of memory (MemoryError)', 'too long', 'KeyboardInterrupt')
    """
    kind = type(error).__name__
    return str(error).strip() or (f"out of memory ({kind})" if isinstance(error, MemoryError) else kind)


def first_line(error: BaseException) -> str:
    """Return the first line of ``error_text``.

    >>> first_line(OSError("gone\\nfor good")), first_line(ValueError())
    ('gone', 'ValueError')
    """
    return error_text(error).splitlines()[0]


@contextmanager
def reading(path: Path, error_type: type[UserError], fix: str) -> Iterator[None]:
    """Raise ``error_type`` for whatever goes wrong in a block that reads and parses ``path``.

    The message names the file and ends in ``fix``. Parsers raise almost anything for a damaged file, so no type is
    listed; a UserError of the block itself passes unchanged. A pipe or a device is refused before the block: opening
    one could wait for ever.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise error_type(f"{path} is a pipe or a device, not a file; {fix}")
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise error_type(f"{path} is missing; {fix}") from None
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise error_type(f"{path} cannot be read: {error.strerror}; {fix}") from None
        raise error_type(f"{path} is damaged ({first_line(error)}); {fix}") from None
