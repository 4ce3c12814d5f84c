"""The parts that everything a person can do works on, opened once per process."""

from __future__ import annotations

from dataclasses import dataclass

from archive.catalog import Catalog, open_catalog
from archive.models import Base
from archive.store import Store, open_store
from archive.vault import Vault
from config.settings import Settings
from processing.jobs import JobClient


@dataclass(frozen=True)
class Core:
    settings: Settings
    catalog: Catalog
    store: Store
    vault: Vault
    jobs: JobClient

    def close(self) -> None:
        self.jobs.close()
        self.catalog.close()


def open_core(settings: Settings) -> Core:
    """Open catalogue, store, vault and job queue; make what a fresh installation lacks.

    Raises DatabaseUnavailable or StoreUnavailable.
    """
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    catalog = open_catalog(settings)
    store = open_store(settings)
    _keep_base(catalog, settings)
    return Core(settings, catalog, store, Vault(settings.home, store), JobClient(settings))


def _keep_base(catalog: Catalog, settings: Settings) -> None:
    site = settings.base
    with catalog.write() as session:
        base = session.get(Base, site.code)
        if base is None:
            base = Base(code=site.code)
            session.add(base)
        base.name = site.name
        base.case_target = site.case_target
        base.session_target = site.session_target
