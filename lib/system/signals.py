"""Which signals ask a run to stop, and which of its processes may react to them."""

import signal

WARNINGS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
"""Signals that batch systems send, often to every process of a job, some time before they kill it."""
TERMINAL = (signal.SIGINT, signal.SIGHUP)
"""Signals that a terminal sends to a whole process group: Ctrl-C, and the end of the terminal."""
SUPERVISOR_ONLY = (*TERMINAL, *WARNINGS[1:])
"""Signals that a role ignores, and processes that it starts inherit that. A trainer takes the warnings back."""


def ignore_group_signals() -> None:
    """Leave ``SUPERVISOR_ONLY`` to the supervisor. A mask alone would not last: libraries unblock SIGINT."""
    for number in SUPERVISOR_ONLY:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SUPERVISOR_ONLY)


def signal_name(number: int) -> str:
    """Return the name of a signal. Most real-time signals have none.

    >>> signal_name(15), signal_name(40)
    ('SIGTERM', 'signal 40')
    """
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
