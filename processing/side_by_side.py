"""Work on several items at once whose results come in the items' own order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


def side_by_side(work: Callable[[Item], Done], items: Iterable[Item], workers: int) -> Iterator[Done]:
    """``work`` of every item, in order, in ``workers`` threads; twice as many items are taken ahead, never more.

    Raises what ``work`` or ``items`` raise; what is under way then ends first.
    """
    waiting: deque[Future[Done]] = deque()
    with ThreadPoolExecutor(workers, "side-by-side") as threads:
        for item in items:
            waiting.append(threads.submit(work, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
