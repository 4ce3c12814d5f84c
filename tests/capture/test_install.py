"""The station's installation, as far as it goes without installing anything."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from capture.rig import ffmpeg_binary
from tests.conftest import REPOSITORY

OLD = """#!/bin/sh
case "$*" in *-encoders*) echo " V....D libx264 ";; *) echo "-stats_enc_pre <file>";; esac
"""


@pytest.mark.parametrize("ffmpeg", [None, OLD], ids=["none", "an old one"])
def test_a_machine_whose_ffmpeg_does_not_serve_is_told_before_anything_is_installed(
    tmp_path: Path, ffmpeg: str | None
) -> None:
    if ffmpeg is not None:
        (tmp_path / "ffmpeg").write_text(ffmpeg)
        (tmp_path / "ffmpeg").chmod(0o755)
    done = run(tmp_path)
    assert done.returncode == 1
    assert "本机没有合用的 ffmpeg" in done.stderr and "Nothing was installed" in done.stderr
    assert not (tmp_path / "station").exists()


def test_the_ffmpeg_we_ship_would_serve_as_the_system_s(tmp_path: Path) -> None:
    (tmp_path / "ffmpeg").symlink_to(ffmpeg_binary())
    # An environment that is there already, whose python ends at once: the check is over by then.
    (tmp_path / "station" / "bin").mkdir(parents=True)
    (tmp_path / "station" / "bin" / "python").symlink_to("/bin/false")
    done = run(tmp_path)
    assert done.returncode == 1
    assert done.stderr == ""


def run(place: Path) -> subprocess.CompletedProcess[str]:
    """With no other ffmpeg in reach than that of ``place``."""
    for name in ("bash", "grep", "dirname", "realpath", "env"):
        found = next(each for each in ("/usr/bin", "/bin") if Path(each, name).exists())
        (place / name).symlink_to(Path(found, name))
    command = [str(REPOSITORY / "scripts" / "install-station"), "--system-ffmpeg", str(place / "station")]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": str(place), "HOME": str(place)},
    )
