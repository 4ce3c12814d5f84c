"""No library tells its makers anything: what runs in a clinic, when, and on which models is nobody else's business.

Each library reads its switch while it is loaded, so they are set when this package is, which every process of ours
loads first. The switches: onnxruntime (since 1.29 it reports every session by default, also on Linux, with the names of
models, and keeps what it could not send), the Hugging Face hub, OpenTelemetry, and the common DO_NOT_TRACK.
"""

from __future__ import annotations

import os

SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "OTEL_SDK_DISABLED": "true",
    "DO_NOT_TRACK": "1",
}


def silence_libraries() -> None:
    """Whatever the surroundings say: a switch that was set otherwise is set right."""
    os.environ.update(SWITCHES)
