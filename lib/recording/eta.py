"""How long it will still take: a pure account of time, told what happened and when."""


class Eta:
    """Seconds left of a phase and of the run, from how long iterations and epochs took so far."""

    def __init__(self, n_epochs: int) -> None:
        self._n_epochs = n_epochs
        self._seconds_per: dict[str, float] = {}
        self._totals: dict[str, int] = {}
        self._phase, self._epoch, self._done, self._began, self._first = "", 0, 0, 0.0, 0

    def begin(self, phase: str, *, epoch: int, done: int, total: int, now: float) -> None:
        """``phase`` of ``epoch`` (from 1) begins, with ``done`` of its ``total`` iterations done already."""
        self._phase, self._epoch, self._began = phase, epoch, now
        self._first = self._done = done
        self._totals[phase] = total

    def step(self, now: float) -> None:
        """One more iteration is done at ``now``, in seconds."""
        self._done += 1
        self._seconds_per[self._phase] = (now - self._began) / (self._done - self._first)

    def left_of_phase(self) -> float:
        """Seconds; 0 before anything is known."""
        return (self._totals[self._phase] - self._done) * self._seconds_per.get(self._phase, 0.0)

    def left_of_run(self) -> float:
        """Seconds, the phases still to come reckoned as long as they took so far.

        >>> eta = Eta(n_epochs=2)
        >>> eta.begin("training", epoch=1, done=0, total=10, now=0.0)
        >>> eta.step(2.0)
        >>> eta.left_of_phase(), eta.left_of_run()
        (18.0, 38.0)
        """
        a_whole_epoch = sum(total * self._seconds_per.get(phase, 0.0) for phase, total in self._totals.items())
        left = self.left_of_phase() + (self._n_epochs - self._epoch) * a_whole_epoch
        if self._phase == "training" and "validation" in self._totals:
            left += self._totals["validation"] * self._seconds_per.get("validation", 0.0)
        return left


def clock_time(seconds: float) -> str:
    """Seconds as people read them.

    >>> clock_time(65), clock_time(7325), clock_time(200000)
    ('1:05', '2:02:05', '2 d 7 h')
    """
    whole = round(seconds)
    if whole >= 100_000:
        return f"{whole // 86400} d {whole % 86400 // 3600} h"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
