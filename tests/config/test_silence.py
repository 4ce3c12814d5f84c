"""Libraries that would tell their makers what they are used for: they neither send nor keep anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.silence import SWITCHES
from tests.conftest import REPOSITORY

# What any step does with a network: a session, and one run of it.
SESSION = """
import faster_whisper, onnxruntime
from pathlib import Path
network = Path(faster_whisper.__file__).parent / "assets" / "silero_vad_v6.onnx"
session = onnxruntime.InferenceSession(str(network), providers=["CPUExecutionProvider"])
"""


def kept_at_home(home: Path, program: str) -> list[str]:
    """What lies in the home of a user who has set nothing after ``program`` has run. On CI the libraries are quiet by
    themselves, so it must not know that it is there."""
    plain = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-B", "-c", program], env=plain, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


@pytest.mark.parametrize("first", ["config.settings", "api.cli", "processing.step", "processing.networks"])
def test_a_process_of_ours_lets_no_library_note_what_it_does(tmp_path: Path, first: str) -> None:
    assert kept_at_home(tmp_path, f"import {first}\n{SESSION}") == []


def test_a_switch_that_somebody_set_otherwise_is_set_right(tmp_path: Path) -> None:
    for name, value in SWITCHES.items():
        program = (
            f"import os\nos.environ[{name!r}] = '0'\nimport config\nassert os.environ[{name!r}] == {value!r}"
        )
        kept_at_home(tmp_path, program)


def test_without_the_switches_something_would_be_noted(tmp_path: Path) -> None:
    assert kept_at_home(tmp_path, SESSION), (
        "onnxruntime reports nothing any more: this file has nothing to guard"
    )
