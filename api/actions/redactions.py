"""What was taken out of text and sound: who may read it, to hear whether it was right."""

from __future__ import annotations

import json
from typing import Any

from api.actions.desk import consultation_of, require_role
from api.core import Core
from archive import audit, consent
from archive.models import Case, User
from archive.terms import Purpose, Role
from processing.results import Results

STEP, FILE = "redact", "spans.json"


def list_redactions(core: Core, actor: User, case_id: str) -> tuple[Case, list[dict[str, Any]]]:
    """The case and every identifier that was found in its current edit, with the words; none before that step.

    Every reading is logged: the words identify the patient. Raises NotFound for another base's case, or a
    ConsentRefused.
    """
    require_role(actor, Role.REVIEWER, Role.EXPERT)
    with core.catalog.read() as session:
        consultation_of(session, actor, case_id)
        consent.require(session, case_id, Purpose.THIRD_PARTY_PRODUCTION)
        case = session.get_one(Case, case_id)
    # Only one small file is read here; nothing is fetched into a worker's folder.
    results = Results(core.store, core.vault, core.settings.home / "workers")
    if results.manifest(case, STEP) is None:
        return case, []
    found: list[dict[str, Any]] = json.loads(results.read(case, STEP, FILE))
    with core.catalog.write() as session:
        audit.record(session, actor.id, "redactions.view", case.id, edit=case.edit)
    return case, found
