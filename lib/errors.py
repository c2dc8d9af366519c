"""What can go wrong. Each message names the thing, the reason and the way out."""


class UserError(Exception):
    """The user can mend this: shown as one line, without a traceback."""


class ConfigError(UserError):
    """A setting is missing, unknown, or has a value that cannot be used."""


class DataError(UserError):
    """The data set on disk is missing, damaged, or not the one that was meant."""


class UnavailableError(DataError):
    """Data cannot be read now, but may be later: nothing is to stand in for it."""


class CheckpointError(UserError):
    """A checkpoint cannot be read, or belongs to another training."""


class WeightsError(UserError):
    """A file of weights cannot be read, or its weights are of another network."""


class DivergedError(UserError):
    """The loss is no longer a number."""


class AllDivergedError(DivergedError):
    """The same, found by all workers at the same point: they can do something about it together.

    ``what`` has happened; ``message`` also says what the user may do.
    """

    def __init__(self, what: str, message: str) -> None:
        super().__init__(message)
        self.what = what


class ResourceError(UserError):
    """The machine gives too little: memory, disk or open files."""


class PeerLost(RuntimeError):
    """The process at the other end of a channel stopped answering."""


class ProtocolError(RuntimeError):
    """A peer answered, but with something other than the next step of the protocol."""


class ReplicasDiffer(RuntimeError):
    """Replicas that should hold the same bits do not."""


def error_text(error: BaseException) -> str:
    """What an error says, in a few words also where it says nothing.

    >>> error_text(MemoryError()), error_text(ValueError(" too long ")), error_text(KeyboardInterrupt())
    ('out of memory (MemoryError)', 'too long', 'KeyboardInterrupt')
    """
    kind = type(error).__name__
    return str(error).strip() or (f"out of memory ({kind})" if isinstance(error, MemoryError) else kind)


def first_line(error: Exception) -> str:
    """The first line of what an error says.

    >>> first_line(OSError("gone\\nfor good")), first_line(ValueError())
    ('gone', 'ValueError')
    """
    return error_text(error).splitlines()[0]
