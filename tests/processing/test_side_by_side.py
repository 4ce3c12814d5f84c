from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from processing.side_by_side import side_by_side


def test_results_come_in_the_items_order_whatever_ends_first() -> None:
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(10)
        if item == 1:
            second_is_done.set()
        return item * item

    assert list(side_by_side(work, range(20), 2)) == [item * item for item in range(20)]


def test_no_more_items_are_taken_than_are_worked_on() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(100):
            taken += 1
            yield item

    results = side_by_side(lambda item: item, items(), 3)
    assert next(results) == 0
    assert taken == 7


def test_what_the_work_raises_comes_to_whoever_asked() -> None:
    def work(item: int) -> int:
        return 1 // (3 - item)

    with pytest.raises(ZeroDivisionError):
        list(side_by_side(work, range(10), 2))
