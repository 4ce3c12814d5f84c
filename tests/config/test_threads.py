"""numpy's linear algebra starts no threads that wait at full load."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

THREADS_AFTER = """
import os
import numpy as np
square = np.ones((600, 600), np.float32)
square @ square
print(len(os.listdir("/proc/self/task")), os.environ.get("OPENBLAS_NUM_THREADS"))
"""


def answer(program: str, **switches: str) -> list[str]:
    plain = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), **switches}
    done = subprocess.run(
        [sys.executable, "-B", "-c", program], check=False, env=plain, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("first", ["config.settings", "api.cli", "processing.step"])
def test_a_process_of_ours_multiplies_matrices_in_one_thread(first: str) -> None:
    before = f"import {first}, os\nprint(len(os.listdir('/proc/self/task')))\n"
    threads, threads_after, switch = answer(before + THREADS_AFTER)
    assert switch == "1"
    assert threads == threads_after == "1"


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core has one thread anyway")
def test_who_sets_the_number_of_threads_is_obeyed() -> None:
    assert answer("import config" + THREADS_AFTER, OPENBLAS_NUM_THREADS="2") == ["2", "2"]
