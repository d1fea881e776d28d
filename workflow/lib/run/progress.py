"""Progress lines, and work done ahead by threads."""

import collections
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

log = logging.getLogger("uncorrelated")


class Progress:
    """Log lines that say how far a job is, how fast it goes, and how long it will take.

    Parameters
    ----------
    total : int
        Units of work in the whole job.
    unit : str
        What is counted, in the plural.
    done : int
        Units that an earlier, interrupted run has done already.
    every : float
        Seconds between lines; the last one is always written.
    """

    def __init__(self, total: int, unit: str, *, done: int = 0, every: float = 30.0):
        self.total, self.unit, self.done, self.every = total, unit, done, every
        self.start = self.last = time.monotonic()
        self.before = done

    @property
    def rate(self) -> float:
        """Units a second in this run."""
        return (self.done - self.before) / max(time.monotonic() - self.start, 1e-9)

    def advance(self, units: int, note: str = "", *, now: bool = False) -> None:
        """Count `units` more as done and log a line if one is due, or `now`."""
        self.done += units
        moment = time.monotonic()
        if now or self.done >= self.total or moment - self.last >= self.every:
            self.last = moment
            left = (self.total - self.done) / max(self.rate, 1e-9)
            log.info(
                "%s%d of %d %s, %.0f a second, %d:%02d left",
                f"{note}, " if note else "",
                self.done,
                self.total,
                self.unit,
                self.rate,
                *divmod(round(left), 60),
            )


def ahead(
    function: Callable[[Any], Any], items: Iterable[Any], threads: int = 2, each: int = 1
) -> Iterator[Any]:
    """Give `function` of each item in order, threads computing the next ones meanwhile.

    Parameters
    ----------
    function
        Best one that waits for a disk or a GPU.
    items : iterable
    threads : int
    each : int
        How many results are at most computed ahead for each thread: more than one keep all threads
        busy where some items take longer than others.

    Yields
    ------
    object
        What it returned; what it raised is raised here.
    """
    pool = ThreadPoolExecutor(threads)
    waiting = collections.deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > threads * each:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
