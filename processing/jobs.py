"""Handing cases to the durable engine, from any process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import OperationalError

from config.errors import DatabaseUnavailable
from config.settings import Settings

if TYPE_CHECKING:
    from dbos import DBOSClient

WORKFLOW = "process_case"
QUEUE = "cases"
APP_NAME = "yian"
# Constant on purpose: DBOS leaves cases of another version lying, so an upgrade would strand them.
APP_VERSION = "1"


def workflow_id(case_id: str, run: int) -> str:
    """Every (re)start of a case is a workflow of its own; starting the same run twice is the same workflow."""
    return f"{case_id}-{run}"


def engine_url(settings: Settings) -> str:
    """The engine's database address, with its folder there."""
    url = settings.jobs_url
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    return url


class JobClient:
    """Starts and cancels the processing of cases. The connection is opened at first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: DBOSClient | None = None
        self._lock = threading.Lock()

    def start(self, case_id: str, run: int) -> None:
        """Queue one run of a case; repeating it changes nothing. Raises DatabaseUnavailable."""
        from dbos import EnqueueOptions

        options = EnqueueOptions(
            workflow_name=WORKFLOW,
            queue_name=QUEUE,
            workflow_id=workflow_id(case_id, run),
            app_version=APP_VERSION,
        )
        self._open().enqueue(options, case_id, run)

    def cancel(self, case_id: str, run: int) -> None:
        """Stop a queued or running run for good. Raises DatabaseUnavailable."""
        self._open().cancel_workflow(workflow_id(case_id, run))

    def check(self) -> None:
        """Raises DatabaseUnavailable unless the engine's database answers."""
        self._open().check_connection()

    def close(self) -> None:
        if self._client is not None:
            self._client.destroy()

    def _open(self) -> DBOSClient:
        # Loaded late: it takes most of a second, and most commands never need it.
        from dbos import DBOS, DBOSClient

        with self._lock:
            if self._client is None:
                url = engine_url(self._settings)
                try:
                    DBOS.migrate(url)
                    self._client = DBOSClient(
                        system_database_url=url, application_name=APP_NAME, retry_connection_errors=False
                    )
                except OperationalError as error:
                    raise DatabaseUnavailable(detail=str(error.orig).splitlines()[0]) from error
            return self._client
