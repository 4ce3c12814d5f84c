"""The way from a recording to a package: how one step of it is run, and how a case ends.

A step is a child process over files (``processing.step``); this module gives it its inputs, watches it, and
keeps its results (``processing.results``). A step whose result is kept is never run again.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import select

from archive import alarms, consent
from archive.audit import record
from archive.catalog import Catalog
from archive.models import Case, StepRun, utc_now
from archive.states import lock_case, move
from archive.store import Store
from archive.terms import Purpose, State
from archive.vault import Vault
from config.errors import (
    Cancelled,
    ChildCrashed,
    DiskFull,
    NotFound,
    PoisonCase,
    YianError,
)
from config.settings import Settings
from processing import materials
from processing.child import run_child, write_job
from processing.plan import STEP_BY_NAME, Step
from processing.results import Results, scope

log = structlog.get_logger()


class Pipeline:
    """Runs steps of cases for one worker. ``worker`` names its lease and its private folder."""

    def __init__(self, settings: Settings, catalog: Catalog, store: Store, vault: Vault, worker: str) -> None:
        self.settings = settings
        self.catalog = catalog
        self.store = store
        self.vault = vault
        self.worker = worker
        self.root = settings.home.resolve() / "workers" / worker
        self.results = Results(store, vault, self.root)
        self._doomed: set[tuple[str, int]] = set()

    async def run_branch(self, names: Sequence[str], case_id: str, run: int) -> dict[str, Any] | None:
        """Run steps one after the other; the first error, as data, ends this branch and those beside it."""
        for name in names:
            error = await self.run_step(name, case_id, run)
            if error is not None:
                self._doomed.add((case_id, run))
                return error
        return None

    async def run_step(self, name: str, case_id: str, run: int) -> dict[str, Any] | None:
        """Run one step unless its result is already kept; None, or the error as data when it ended in one.

        What is only unreachable for now is tried again, with growing pauses, before it becomes an error.
        """
        pause_s = self.settings.processing.retry_pause_s
        for left in reversed(range(self.settings.processing.step_retries)):
            try:
                await self._run_once(STEP_BY_NAME[name], case_id, run)
                return None
            except YianError as error:
                log.warning("step.error", case=case_id, step=name, error=str(error), tries_left=left)
                if not error.transient or left == 0:
                    return error.to_dict()
            except OSError as error:
                return _from_os_error(error, name, self.root).to_dict()
            except Exception as error:
                log.exception("step.unexpected", case=case_id, step=name)
                return ChildCrashed(step=name, detail=repr(error)[:300]).to_dict()
            await asyncio.sleep(pause_s)
            pause_s *= 2
        return None

    async def _run_once(self, step: Step, case_id: str, run: int) -> None:
        case = await asyncio.to_thread(self._check, case_id, run)
        kept = await asyncio.to_thread(self.results.manifest, case, step.name)
        result = kept["result"] if kept else await self._run_anew(step, case, run)
        if result.get("verdict") == "fail":
            await asyncio.to_thread(self._require_answered, case, result)

    async def _run_anew(self, step: Step, case: Case, run: int) -> dict[str, Any]:
        case_id = case.id
        self._check_space()
        folder = self.results.folder(case) / f".{step.name}-{case.run}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        row = await asyncio.to_thread(self._begin_row, case, step)
        log.info("step.start", case=case_id, step=step.name)
        inputs = {name: await asyncio.to_thread(self.results.fetch, case, name) for name in step.needs}
        params = await asyncio.to_thread(materials.gather, self, step.name, case_id, folder)
        write_job(folder, inputs, params, self.settings)
        result = await run_child(
            step.name,
            folder,
            self.settings,
            progress=lambda share: self._note_progress(row, share),
            check=lambda: self._check(case_id, run),
        )
        await asyncio.to_thread(self._check, case_id, run)
        await asyncio.to_thread(self._keep, case, step, folder, result)
        await asyncio.to_thread(self._end_row, row)
        log.info("step.end", case=case_id, step=step.name)
        return result

    def _keep(self, case: Case, step: Step, folder: Path, result: dict[str, Any]) -> None:
        if step.name == "package":
            # Storing can take minutes, in which the patient may have withdrawn.
            self.results.keep_package(case, folder, result, lambda: self._check(case.id, case.run))
        else:
            self.results.keep(case, step.name, folder, result)

    # --- the catalogue -----------------------------------------------------------------------------------

    def _require_answered(self, case: Case, verification: dict[str, Any]) -> None:
        with self.catalog.read() as session:
            alarms.require_answered(session, case, verification)

    def _check(self, case_id: str, run: int) -> Case:
        """The case, if this run of it is still the one that is wanted. Raises Cancelled or a ConsentRefused."""
        with self.catalog.read() as session:
            case = session.get(Case, case_id)
            if case is None:
                raise NotFound(what="case", id=case_id)
            doomed = (case_id, run) in self._doomed
            if doomed or case.state is not State.PROCESSING or case.run != run:
                raise Cancelled(step="", detail=str(case.state))
            consent.require(session, case_id, Purpose.THIRD_PARTY_PRODUCTION)
            return case

    def _begin_row(self, case: Case, step: Step) -> int:
        with self.catalog.write() as session:
            row = StepRun(case_id=case.id, scope=scope(case, step), step=step.name, worker=self.worker)
            session.add(row)
            session.flush()
            return row.id

    def _note_progress(self, row_id: int, share: float) -> None:
        with self.catalog.write() as session:
            row = session.get_one(StepRun, row_id)
            row.progress = share

    def _end_row(self, row_id: int) -> None:
        with self.catalog.write() as session:
            row = session.get_one(StepRun, row_id)
            row.ended_at = utc_now()
            row.progress = 1.0

    def _check_space(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        free_mb = shutil.disk_usage(self.root).free >> 20
        needed_mb = self.settings.processing.min_free_mb
        if free_mb < needed_mb:
            raise DiskFull(path=str(self.root), needed_mb=needed_mb, free_mb=free_mb)

    def take_over(self, case_id: str, run: int) -> int | None:
        """Give a case whose worker has died its next run; None when it is not wanted or is poison by now."""
        with self.catalog.write() as session:
            case = lock_case(session, case_id)
            if case.state is not State.PROCESSING or case.run != run:
                return None
            case.takeovers += 1
            record(session, self.worker, "case.takeover", case_id, run=run, takeovers=case.takeovers)
            if case.takeovers > self.settings.processing.max_takeovers:
                why = PoisonCase(step="", detail="", case=case_id, takeovers=case.takeovers)
                move(session, case, State.FAILED, self.worker, reason=why.to_dict())
                return None
            case.run += 1
            return case.run

    def finish(self, case_id: str, run: int, error: dict[str, Any] | None) -> None:
        """Move a case on to review, or to failed with its reason, and remove this worker's copies of it."""
        summary: dict[str, Any] = {}
        if error is None:
            try:
                with self.catalog.read() as session:
                    summary = materials.summarise(self, session.get_one(Case, case_id))
            except YianError as trouble:
                # The store may be away just now: a failed case can be resumed, one left as it is cannot.
                error = trouble.to_dict()
        with self.catalog.write() as session:
            case = lock_case(session, case_id)
            if case.state is State.PROCESSING and case.run == run:
                if error is None:
                    case.summary = summary
                    case.package_prefix = summary["package"]["prefix"]
                    case.package_seal = summary["package"]["seal"]
                    move(session, case, State.IN_REVIEW, self.worker)
                else:
                    move(session, case, State.FAILED, self.worker, reason=error)
            record(session, self.worker, "case.processed", case_id, str(case.state), run=run)
        self._doomed.discard((case_id, run))
        shutil.rmtree(self.root / case_id, ignore_errors=True)

    def forget_stopped(self) -> None:
        """Remove this worker's copies of cases that were stopped from outside: their workflow never finishes."""
        for folder in self.root.glob("[!.]*"):
            with self.catalog.read() as session:
                case = session.get(Case, folder.name)
            if case is None or case.state is not State.PROCESSING:
                # Moved aside first: a run that is resumed meanwhile must not find its folder half removed.
                gone = folder.with_name(f".{folder.name}.gone")
                with contextlib.suppress(OSError):
                    folder.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)

    def seconds_by_step(self, case: Case) -> dict[str, float]:
        """Wall-clock seconds of every finished step, summed over its runs."""
        with self.catalog.read() as session:
            rows = session.scalars(select(StepRun).where(StepRun.case_id == case.id)).all()
        spent: dict[str, float] = {}
        for row in rows:
            if row.ended_at is not None:
                seconds = (row.ended_at - row.started_at).total_seconds()
                spent[row.step] = round(spent.get(row.step, 0.0) + seconds, 2)
        return spent


def _from_os_error(error: OSError, step: str, root: Path) -> YianError:
    if error.errno == errno.ENOSPC:
        return DiskFull(path=str(root), needed_mb=None, free_mb=shutil.disk_usage(root).free >> 20)
    return ChildCrashed(step=step, detail=str(error))
