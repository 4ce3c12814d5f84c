"""The catalogue database: connections, transactions and the schema's version."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from archive.models import Table
from config.errors import DatabaseUnavailable
from config.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_S = 30
# An arbitrary number that only has to be the same in every process that migrates.
MIGRATION_LOCK = 7_430_001


class Catalog:
    """Transactions over the catalogue. ``read`` never blocks ``write`` and never writes."""

    def __init__(self, url: str) -> None:
        self.url = driver_url(url)
        self._engine = _make_engine(self.url)
        self._writer = self._engine.execution_options(yian_write=True)

    @contextmanager
    def read(self) -> Iterator[Session]:
        with self._session(self._engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that is committed when the block ends and rolled back when it raises."""
        with self._session(self._writer) as session:
            yield session
            session.commit()

    @contextmanager
    def _session(self, engine: Engine) -> Iterator[Session]:
        try:
            with Session(engine, expire_on_commit=False) as session:
                yield session
        except OperationalError as error:
            raise DatabaseUnavailable(detail=str(error.orig).splitlines()[0]) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise DatabaseUnavailable(detail=str(error.orig).splitlines()[0]) from error
            raise

    def migrate(self) -> None:
        """Bring the schema to the newest version; safe when several processes start at once."""
        from alembic import command
        from alembic.config import Config

        try:
            with self._writer.begin() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(text("select pg_advisory_xact_lock(:n)"), {"n": MIGRATION_LOCK})
                config = Config()
                config.set_main_option("script_location", str(MIGRATIONS))
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except OperationalError as error:
            raise DatabaseUnavailable(detail=str(error.orig).splitlines()[0]) from error

    def close(self) -> None:
        self._engine.dispose()


def open_catalog(settings: Settings) -> Catalog:
    """The catalogue of ``settings``, migrated. Raises DatabaseUnavailable."""
    url = settings.catalog_url
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    catalog = Catalog(url)
    catalog.migrate()
    return catalog


def driver_url(url: str) -> str:
    """``postgresql://`` means psycopg 3, the driver that is installed."""
    parsed = make_url(url)
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed.render_as_string(hide_password=False)


def insert_once(session: Session, row: Table, *unique: str) -> bool:
    """Insert ``row`` unless its ``unique`` columns are taken; True when it was this call that inserted it."""
    table = type(row).__table__
    values = {c.name: getattr(row, c.key) for c in table.columns if getattr(row, c.key) is not None}
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(type(row)).values(**values).on_conflict_do_nothing(index_elements=unique)
    # Asked for with RETURNING: the drivers' row counts do not tell a skipped insert from a done one.
    return session.execute(statement.returning(table.c[unique[0]])).first() is not None


def _make_engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=50)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None})

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute("pragma foreign_keys = on")

    # A writer takes the lock at once: two transactions that both read and then write would otherwise
    # fail against each other instead of waiting.
    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("yian_write", False)
        connection.exec_driver_sql("begin immediate" if writes else "begin")

    return engine
