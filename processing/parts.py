"""The files a recording consists of, one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import av

from config.errors import Truncated
from processing.media import open_media

CUT_SHORT = (av.error.InvalidDataError, av.error.EOFError)  # where the power went


@contextlib.contextmanager
def opened(path: Path) -> Iterator[av.container.InputContainer]:
    """Raises Truncated for one that cannot be opened."""
    try:
        source = open_media(path)
    except av.error.InvalidDataError as error:
        raise Truncated(name=path.name, detail=str(error)) from error
    with source:
        if not source.streams:
            raise Truncated(name=path.name, detail="no stream")
        yield source
