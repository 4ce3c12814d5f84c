"""One thread for numpy's linear algebra.

OpenBLAS wakes a thread for every core at every product of matrices, and each then waits for the next product at full
load, for some 30 ms. Ours are small and far apart, and whoever has more to do has threads of its own: the
waiting was half of the processor's time while a recording was listened to. Read once, when numpy is loaded, so it is set
when this package is, which every process of ours loads first; who sets it otherwise is obeyed.
"""

from __future__ import annotations

import os


def one_algebra_thread() -> None:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
