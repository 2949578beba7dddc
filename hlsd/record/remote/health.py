"""Says once that a store does not do what it should, and once that it does again. No clock, no log lines in between."""

from __future__ import annotations

from hlsd.base.logger import Log


class StoreHealth:
    """Of one way of using the store; `what` is what goes wrong then."""

    def __init__(self, what: str, log: Log) -> None:
        self.error = ""
        """Why it does not work now; "" while it does."""
        self.failures = 0
        """In a row."""
        self._what = what
        self._log = log

    def good(self) -> None:
        """It did what it was asked for."""
        if self.error:
            self._log.info("the store of recordings works again", after=self.failures)
        self.error, self.failures = "", 0

    def bad(self, words: str) -> None:
        """It did not."""
        if not self.error:
            self._log.warning(self._what, reason=words)
        self.error = words
        self.failures += 1
