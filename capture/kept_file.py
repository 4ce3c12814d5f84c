"""A small file that is there whole, old or new, whatever happens while it is written."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def keep(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, for this user's eyes alone; it is on the disk when this returns. Raises OSError, the
    old file untouched."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{secrets.token_hex(8)}")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """What was renamed in ``folder`` has its new name on the disk, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
