"""A disk small enough to be filled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SMALL_MB = 320


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own in memory; skipped where this user may not mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    told = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MB}m", "none", str(place)],
        check=False,
        capture_output=True,
        text=True,
    )
    if told.returncode:
        pytest.skip(f"no file system can be mounted here: {told.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)
