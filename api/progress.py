"""How far a case in processing has come, from the rows its steps have written."""

from __future__ import annotations

from dataclasses import dataclass

from archive.models import Case, StepRun
from archive.terms import State
from processing.plan import STEPS

# Roughly how the steps share the time of a case; only the smoothness of a bar hangs on it.
WEIGHTS = {"transcribe": 2.0, "faces": 3.0, "blur": 3.0, "verify": 3.0, "stream": 3.0}


@dataclass(frozen=True)
class StepProgress:
    step: str
    progress: float
    done: bool


def steps_of(case: Case) -> list[StepProgress]:
    """Every step in its order, with what the newest run that counts for the present edit has reached."""
    newest: dict[str, StepRun] = {}
    for row in case.steps:
        if row.scope in ("base", f"edit-{case.edit}"):
            newest[row.step] = row
    return [_progress(step.name, newest.get(step.name)) for step in STEPS]


def share_of(case: Case, steps: list[StepProgress]) -> float | None:
    """0..1 over all steps, 1 as soon as there is nothing left to process; None while nobody can know."""
    if case.state is State.RECORDING:
        return None
    if case.state not in (State.PROCESSING, State.FAILED, State.UPLOADED):
        return 1.0 if case.summary else 0.0
    total = sum(WEIGHTS.get(step.step, 1.0) for step in steps)
    return round(sum(WEIGHTS.get(step.step, 1.0) * step.progress for step in steps) / total, 4)


def _progress(name: str, row: StepRun | None) -> StepProgress:
    if row is None:
        return StepProgress(name, 0.0, False)
    done = row.ended_at is not None
    return StepProgress(name, 1.0 if done else row.progress, done)
