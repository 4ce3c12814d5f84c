"""``yian consultation``: plan a visit, keep its signed consent, withdraw it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from api.commands.common import As, named, opened
from api.console import both, say
from archive.terms import Kind, Purpose
from config.errors import ConsentFormRejected

app = typer.Typer(no_args_is_help=True)
ConsultationId = Annotated[str, typer.Argument(metavar="ID", help=both("cli.arg.consultation"))]


@app.command(help=both("cli.consultation.add"))
def add(
    title: str,
    user: As,
    expert: Annotated[str, typer.Option(help=both("cli.opt.expert"))],
    kind: Annotated[Kind, typer.Option(help=both("cli.opt.kind"))] = Kind.CONSULTATION,
    at: Annotated[datetime | None, typer.Option(help=both("cli.opt.at"))] = None,
) -> None:
    from api import actions
    from archive.models import utc_now

    with opened() as core:
        when = at.replace(tzinfo=core.settings.zone) if at else utc_now()
        consultation = actions.schedule_consultation(
            core,
            named(core, user),
            title=title,
            kind=kind,
            expert_id=named(core, expert).id,
            scheduled_at=when,
        )
        say("cli.consultation.added", id=consultation.id)


@app.command(help=both("cli.consultation.consent"))
def consent(
    consultation_id: ConsultationId,
    user: As,
    purpose: Annotated[list[Purpose], typer.Option(help=both("cli.opt.purpose"))],
    text: Annotated[Path, typer.Option(help=both("cli.opt.consent-text"))],
    signature: Annotated[Path, typer.Option(help=both("cli.opt.signature"))],
    disguise_voice: Annotated[
        bool, typer.Option("--disguise-voice", help=both("cli.opt.disguise-voice"))
    ] = False,
) -> None:
    from api import actions
    from archive.consent import SignedForm
    from archive.models import utc_now

    try:
        purposes = tuple(str(p) for p in purpose)
        form = SignedForm(
            purposes, text.read_text(), signature.read_bytes(), utc_now(), disguise_voice=disguise_voice
        )
    except (OSError, UnicodeDecodeError) as error:
        raise ConsentFormRejected(problem=str(error)) from error
    with opened() as core:
        actions.sign_consent(core, named(core, user), consultation_id, form)
        say("cli.consultation.consented", id=consultation_id)


@app.command(help=both("cli.consultation.names"))
def names(
    consultation_id: ConsultationId,
    user: As,
    patient: Annotated[list[str] | None, typer.Option(help=both("cli.opt.patient-name"))] = None,
    relative: Annotated[list[str] | None, typer.Option(help=both("cli.opt.relative-name"))] = None,
) -> None:
    from api import actions
    from archive.identity import PersonName

    told = [PersonName(name, "patient") for name in patient or []]
    told += [PersonName(name, "relative") for name in relative or []]
    with opened() as core:
        count = actions.register_names(core, named(core, user), consultation_id, told)
        say("cli.consultation.named", id=consultation_id, names=count)


@app.command(help=both("cli.consultation.withdraw"))
def withdraw(consultation_id: ConsultationId, user: As) -> None:
    from api import actions

    with opened() as core:
        actions.withdraw_consent(core, named(core, user), consultation_id)
        say("cli.consultation.withdrawn", id=consultation_id)
