"""How the command line speaks: tables, progress with remaining time, and errors in both languages."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from api.messages import LANGUAGES, load_messages
from config.errors import YianError

# A colon on both sides of a word, as in what ffmpeg says, is no picture of it.
out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)


def both(key: str, **data: object) -> str:
    """A text in Chinese and English."""
    return " · ".join(load_messages(language).text(key, **data) for language in LANGUAGES)


def say(key: str, **data: object) -> None:
    # No message is marked up, but "[[microphone]]" or a file's name may look like it.
    out.print(both(key, **data), markup=False)


def print_json(content: Any) -> None:
    sys.stdout.write(json.dumps(content, ensure_ascii=False, indent=2, default=str) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """``columns`` are message keys."""
    table = Table(*(both(column) for column in columns), box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(_plain(str(cell)) for cell in row))
    out.print(table)


def print_error(error: YianError) -> None:
    """What failed and what is safe, then what to do next: first in Chinese, then in English."""
    for language in LANGUAGES:
        what, todo = load_messages(language).error(error)
        err.print(f"[bold red]{_plain(what)}[/] {_plain(todo)}", soft_wrap=True)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


@contextmanager
def progress_bar(key: str) -> Iterator[Callable[[float], None]]:
    """A bar on standard error with the remaining time; yields the hook that moves it (0…1)."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as bar:
        task = bar.add_task(both(key), total=1.0)

        def move(share: float) -> None:
            bar.update(task, completed=share)

        yield move
