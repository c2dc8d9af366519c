"""Stop all workers together when one of them cannot read its data."""

from ..data.feed import Feed
from ..exchange.base import Exchange


class DataGuard:
    """Looks ahead in one worker's feed, so that no worker is ever half through an update that another cannot make."""

    def __init__(self, feed: Feed, exchange: Exchange, *, together: bool = False) -> None:
        """``together`` says that all workers compute each pass together."""
        self._feed, self._exchange, self._together = feed, exchange, together
        self.ahead = 1 + exchange.lag
        """batches to check before an update: one for each update until all workers know of a request to stop"""

    def fails(self, within: int = 1) -> bool:
        """Wait for the next ``within`` batches. If one of them cannot be read, return True and ask all to stop."""
        fails = self._feed.fails(within)
        if fails:
            self._exchange.request_stop()
        return fails

    def fails_within_update(self) -> bool:
        """Return whether the next batch of an update, but its first, cannot be read.

        Where workers compute together, whether that of any worker cannot: no pass begins without one of them.
        """
        fails = self.fails()
        return any(row[0] for row in self._exchange.all_gather([fails])) if self._together else fails
