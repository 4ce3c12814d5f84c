"""The steps from a recording to a package, and in which order and side by side they run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """``needs``: steps whose results it reads. ``edited``: whether a reviewer's edits can change its result."""

    name: str
    needs: tuple[str, ...] = ()
    edited: bool = False


STEPS = (
    Step("ingest"),
    Step("probe", ("ingest",)),
    Step("audio", ("ingest", "probe")),
    Step("regions", ("audio",)),
    Step("speakers", ("audio", "regions")),
    Step("transcribe", ("audio", "speakers")),
    Step("merge", ("speakers", "transcribe")),
    Step("redact", ("ingest", "probe", "audio", "speakers", "merge"), edited=True),
    Step("faces", ("ingest", "probe")),
    Step("blur", ("ingest", "probe", "faces"), edited=True),
    Step("verify", ("ingest", "probe", "blur"), edited=True),
    Step("stream", ("ingest", "probe", "redact", "blur"), edited=True),
    Step("package", ("probe", "speakers", "redact", "faces", "blur", "verify", "stream"), edited=True),
)
STEP_BY_NAME = {step.name: step for step in STEPS}
# Branches of one stage run side by side: sound and picture have nothing to say to each other before the stream.
STAGES = (
    (("ingest", "probe"),),
    (("audio", "regions", "speakers", "transcribe", "merge", "redact"), ("faces", "blur")),
    (("verify",), ("stream",)),
    (("package",),),
)
