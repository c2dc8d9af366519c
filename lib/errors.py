"""The exceptions of this program. A message says what is wrong, where, and how to fix it."""


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


def first_line(error: Exception) -> str:
    """Return the first line of ``error_text``.

    >>> first_line(OSError("gone\\nfor good")), first_line(ValueError())
    ('gone', 'ValueError')
    """
    return error_text(error).splitlines()[0]
