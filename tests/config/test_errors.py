from __future__ import annotations

import inspect
import pickle

import pytest

from config import errors
from config.errors import ChecksumMismatch, DiskFull, YianError, error_from_dict, error_kinds


@pytest.mark.parametrize("code", sorted(error_kinds()))
def test_every_error_survives_pickling_and_becoming_data(code: str) -> None:
    error = error_kinds()[code](case="C1", moments=3)
    for twin in (pickle.loads(pickle.dumps(error)), error_from_dict(error.to_dict())):
        assert type(twin) is type(error) and twin.data == error.data


def test_the_drawing_of_the_tree_names_every_error() -> None:
    drawing = inspect.getdoc(errors) or ""
    for kind in error_kinds().values():
        assert kind.__name__ in drawing


def test_codes_are_unique_and_statuses_are_http_errors() -> None:
    kinds = error_kinds()
    assert len({kind.__name__ for kind in kinds.values()}) == len(kinds)
    assert all(400 <= kind.status < 600 for kind in kinds.values())


def test_an_unknown_code_becomes_the_root() -> None:
    assert type(error_from_dict({"code": "from-the-future", "data": {"x": 1}})) is YianError


def test_an_error_tells_its_facts() -> None:
    assert str(ChecksumMismatch(name="a", expected="1", found="2")) == (
        "checksum-mismatch (name=a, expected=1, found=2)"
    )


def test_a_full_disk_is_not_worth_retrying_by_itself() -> None:
    assert not DiskFull(path="/", needed_mb=1, free_mb=0).transient
