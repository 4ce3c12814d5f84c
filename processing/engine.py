"""The durable engine: DBOS runs each case as a workflow of steps, and dead workers' cases are taken over.

DBOS by itself leaves the cases of a killed worker PENDING for ever. So every worker holds a *lease* under its
own name before it takes any case: a lock that its operating system or database drops when it dies (a flock
beside SQLite; in PostgreSQL a session advisory lock on a connection of its own). Every second or so one
process, holding the lock ``reaper``, looks for cases whose worker's lease can be had, and puts them back into
the queue; a case that has brought down too many workers is poison and fails instead.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import socket
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import psycopg
import structlog
from dbos import DBOS, DBOSConfig
from sqlalchemy import select
from sqlalchemy.engine import make_url

from archive.catalog import Catalog
from archive.models import Case
from archive.store import Store
from archive.terms import State
from archive.vault import Vault
from config.errors import Cancelled, DatabaseUnavailable, YianError
from config.settings import Settings
from processing.jobs import APP_NAME, APP_VERSION, QUEUE, WORKFLOW, JobClient, engine_url, workflow_id
from processing.pipeline import Pipeline
from processing.plan import STAGES

log = structlog.get_logger()

REAPER = "reaper"
# Advisory locks share one number space per database; this is Yian's corner of it.
LOCK_SPACE = 7_007
# A database that is away this long has dropped the lease; going on would mean two workers on one case.
LEASE_LOST_EXIT_S = 60.0
# After a reconnect everybody's lease may look free for a moment.
RECONNECT_GRACE_S = 15.0
# How DBOS calls a workflow that has not ended yet.
UNENDED = frozenset({"ENQUEUED", "DELAYED", "PENDING"})
EXIT_LEASE_LOST = 75  # sysexits.h EX_TEMPFAIL: the service manager starts a fresh worker


class FileLeases:
    """Leases as flocks in a folder beside the SQLite database; the kernel drops them with the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, IO[str]] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def take(self, name: str) -> bool:
        file = (self._folder / name).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._held[name] = file
        return True

    def drop(self, name: str) -> None:
        # The reaper's file is contended, and unlinking a contended lock file would give it two holders.
        if name != REAPER:
            (self._folder / name).unlink(missing_ok=True)
        self._held.pop(name).close()

    def renew(self) -> bool:
        """False when the leases had to be taken anew; files never lose them."""
        return True

    def close(self) -> None:
        for name in list(self._held):
            self.drop(name)


class PostgresLeases:
    """Leases as session advisory locks on one direct connection with TCP keepalives."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url).set(drivername="postgresql")
        self._dsn = parsed.render_as_string(hide_password=False)
        self._held: set[str] = set()
        self._connection = self._connect()

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            self._dsn,
            autocommit=True,
            connect_timeout=5,
            keepalives=1,
            keepalives_idle=5,
            keepalives_interval=5,
            keepalives_count=3,
        )

    def take(self, name: str) -> bool:
        row = self._connection.execute(
            "select pg_try_advisory_lock(%s, hashtext(%s))", (LOCK_SPACE, name)
        ).fetchone()
        taken = bool(row and row[0])
        if taken:
            self._held.add(name)
        return taken

    def drop(self, name: str) -> None:
        self._held.discard(name)
        self._connection.execute("select pg_advisory_unlock(%s, hashtext(%s))", (LOCK_SPACE, name))

    def renew(self) -> bool:
        """Check the connection; False when it was lost and every lease has been taken again.

        Raises psycopg.Error while the database is away, and DatabaseUnavailable when a lease was lost to
        another process.
        """
        try:
            self._connection.execute("select 1")
            return True
        except psycopg.Error:
            self._connection.close()
        self._connection = self._connect()
        held, self._held = self._held, set()
        for name in held:
            if not self.take(name):
                raise DatabaseUnavailable(detail=f"the lease {name} is held by another process")
        return False

    def close(self) -> None:
        self._connection.close()


Leases = FileLeases | PostgresLeases


def open_leases(settings: Settings) -> Leases:
    url = engine_url(settings)
    if url.startswith("sqlite:///"):
        return FileLeases(Path(url.removeprefix("sqlite:///")).parent / "leases")
    try:
        return PostgresLeases(url)
    except psycopg.Error as error:
        raise DatabaseUnavailable(detail=str(error).splitlines()[0]) from error


def _root_cause(errors: list[dict[str, Any]]) -> dict[str, Any]:
    """The error that ended a stage, not the cancelling of the branches beside it."""
    return next((error for error in errors if error["code"] != Cancelled.code), errors[0])


class Engine:
    """A worker: takes cases from the queue and runs them, and helps to watch over the other workers.

    Use as a context manager. There can be one per process, because DBOS is one per process.
    """

    def __init__(self, settings: Settings, catalog: Catalog, store: Store, vault: Vault) -> None:
        self.worker = f"{socket.gethostname()[:40]}-{uuid.uuid4().hex[:8]}"
        self._settings = settings
        self._catalog = catalog
        self._pipeline = Pipeline(settings, catalog, store, vault, self.worker)
        self._leases = open_leases(settings)
        self._jobs = JobClient(settings)
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="reaper", daemon=True)

    def __enter__(self) -> Self:
        # The lease comes first: a worker without one would be taken for dead while it works.
        if not self._leases.take(self.worker):
            raise DatabaseUnavailable(detail=f"the lease {self.worker} is taken")
        config = DBOSConfig(
            name=APP_NAME,
            system_database_url=engine_url(self._settings),
            executor_id=self.worker,
            application_version=APP_VERSION,
            log_level="ERROR",
            enable_otlp=False,
        )
        DBOS(config=config)
        self._register()
        DBOS.launch()
        DBOS.register_queue(
            QUEUE,
            worker_concurrency=self._settings.processing.concurrency,
            polling_interval_sec=0.5,
            on_conflict="always_update",
        )
        self._watcher.start()
        log.info("worker.start", worker=self.worker)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._watcher.join()
        DBOS.destroy(destroy_registry=True)
        self._leases.close()
        self._jobs.close()
        shutil.rmtree(self._pipeline.root, ignore_errors=True)
        log.info("worker.stop", worker=self.worker)

    def _register(self) -> None:
        pipeline = self._pipeline

        @DBOS.step(name="run_branch")
        async def run_branch(names: list[str], case_id: str, run: int) -> dict[str, Any] | None:
            return await pipeline.run_branch(names, case_id, run)

        @DBOS.step(
            name="finish", retries_allowed=True, max_attempts=8, interval_seconds=1.0, backoff_rate=2.0
        )
        async def finish(case_id: str, run: int, error: dict[str, Any] | None) -> None:
            await asyncio.to_thread(pipeline.finish, case_id, run, error)

        @DBOS.workflow(name=WORKFLOW)
        async def process_case(case_id: str, run: int) -> None:
            for stage in STAGES:
                # Branches start in the order written here, which is what DBOS knows them by.
                ends = await asyncio.gather(*(run_branch(list(names), case_id, run) for names in stage))
                errors = [end for end in ends if end is not None]
                if errors:
                    await finish(case_id, run, _root_cause(errors))
                    return
            await finish(case_id, run, None)

        _ = process_case

    # --- watching over the others ------------------------------------------------------------------------

    def _watch(self) -> None:
        away_since: float | None = None
        quiet_until = 0.0
        while not self._stopping.wait(self._settings.processing.lease_poll_s):
            try:
                if not self._leases.renew():
                    quiet_until = time.monotonic() + RECONNECT_GRACE_S
                self._pipeline.forget_stopped()
                if time.monotonic() >= quiet_until:
                    self._reap()
                away_since = None
            except Exception as error:  # noqa: BLE001 - watching goes on whatever one look met
                away_since = away_since or time.monotonic()
                log.warning("reaper.error", error=repr(error))
                if time.monotonic() - away_since > LEASE_LOST_EXIT_S:
                    log.error("worker.lease-lost", worker=self.worker)
                    os._exit(EXIT_LEASE_LOST)

    def _reap(self) -> None:
        if not self._leases.take(REAPER):
            return
        try:
            pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
            for executor in {w.executor_id for w in pending if w.executor_id} - {self.worker}:
                if self._leases.take(executor):
                    try:
                        self._take_over(executor)
                    finally:
                        self._leases.drop(executor)
            self._look_after_stranded()
            self._remove_leftovers()
        finally:
            self._leases.drop(REAPER)

    def _take_over(self, executor: str) -> None:
        """Start a dead worker's cases anew, each as its next run.

        The new run is also the fence: should the worker live after all, cut off from its database for a while,
        its run is no longer the wanted one, and it stops at its next look.
        """
        dead = DBOS.list_workflows(
            status="PENDING", executor_id=executor, load_input=False, load_output=False
        )
        for workflow in dead:
            case_id, _, run = workflow.workflow_id.rpartition("-")
            log.warning("worker.takeover", case=case_id, run=int(run), dead=executor)
            # In this order a reaper that dies in between leaves nothing that the next one would not go on with.
            next_run = self._pipeline.take_over(case_id, int(run))
            if next_run is not None:
                self._jobs.start(case_id, next_run)
            DBOS.cancel_workflow(workflow.workflow_id)

    def _look_after_stranded(self) -> None:
        """Look after cases that nobody works on although they are in processing.

        One that was moved there by a process that died before it could queue it is queued; one whose workflow
        has ended all the same, on an error nobody planned, fails, so that it can be resumed.
        """
        with self._catalog.read() as session:
            cases = session.execute(select(Case.id, Case.run).where(Case.state == State.PROCESSING)).all()
        for case_id, run in cases:
            found = DBOS.list_workflows(
                workflow_ids=[workflow_id(case_id, run)], load_input=False, load_output=False
            )
            if not found:
                self._jobs.start(case_id, run)
            elif found[0].status not in UNENDED:
                log.error("workflow.broken", case=case_id, run=run, status=found[0].status)
                self._pipeline.finish(case_id, run, YianError().to_dict())

    def _remove_leftovers(self) -> None:
        """Remove what dead workers of this machine had opened: recordings that show the patient."""
        for folder in self._pipeline.root.parent.glob("*"):
            if folder.name != self.worker and self._leases.take(folder.name):
                try:
                    shutil.rmtree(folder, ignore_errors=True)
                finally:
                    self._leases.drop(folder.name)
