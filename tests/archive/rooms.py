"""A core over any database, for tests of what the catalogue promises."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from api.core import Core, open_core
from archive.consent import SignedForm
from archive.models import Case, Consultation, Recording, User, new_id, utc_now
from archive.terms import Kind, Purpose, Role, State
from config.settings import ArchiveSettings, Settings
from tests.factories import CONSENT_TEXT, EVERY_PURPOSE, PNG, CountingJobs


@dataclass(frozen=True)
class Room:
    """One base with its people over one database."""

    core: Core

    def person(self, role: Role) -> User:
        with self.core.catalog.write() as session:
            user = User(
                username=f"u{new_id(10).lower()}",
                name=str(role),
                role=role,
                base_code=self.core.settings.base.code,
                password_hash="",
            )
            session.add(user)
            session.flush()
            return user

    def case(self, state: State, technician: User, expert: User, seal: str = "a" * 128) -> Case:
        """A case put straight into ``state``, recorded by ``technician``."""
        with self.core.catalog.write() as session:
            consultation = Consultation(
                id=new_id(),
                base_code=self.core.settings.base.code,
                kind=Kind.CONSULTATION,
                title="t",
                expert_id=expert.id,
                patient_pseudonym="P-1",
                scheduled_at=utc_now(),
                created_by=technician.id,
            )
            consultation.case = Case(
                base_code=consultation.base_code,
                state=state,
                package_seal=seal,
                summary={"verification": {"verdict": "pass", "moments": 0}},
            )
            session.add(consultation)
            session.flush()
            session.add(
                Recording(
                    consultation_id=consultation.id,
                    rig={},
                    recorded_by=technician.id,
                    started_at=utc_now(),
                )
            )
            return consultation.case

    def form(self, *purposes: Purpose, signed_at: dt.datetime | None = None) -> SignedForm:
        chosen = tuple(str(p) for p in purposes) or EVERY_PURPOSE
        return SignedForm(chosen, CONSENT_TEXT, PNG, signed_at or utc_now())

    def load(self, session: Session, case: Case) -> Case:
        return session.get_one(Case, case.id)


def open_room(home: Path, catalog_url: str = "") -> Room:
    settings = Settings(home=home, archive=ArchiveSettings(catalog_url=catalog_url))
    core = open_core(settings)
    core.jobs.close()
    return Room(Core(core.settings, core.catalog, core.store, core.vault, CountingJobs()))
