"""``yian consultation``: plan visits, see those of today, keep a signed consent, withdraw it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from api.commands.common import As, AsJson, named, opened, operator
from api.console import both, print_json, print_table, say
from api.messages import load_messages
from archive.terms import Kind, Purpose, State
from config.errors import ConsentFormRejected

if TYPE_CHECKING:
    from api.actions import Override
    from api.schemas.today import TodayRow

app = typer.Typer(no_args_is_help=True)
ConsultationId = Annotated[str, typer.Argument(metavar="ID", help=both("cli.arg.consultation"))]


@app.command(help=both("cli.consultation.add"))
def add(
    title: str,
    user: As,
    expert: Annotated[str, typer.Option(help=both("cli.opt.expert"))],
    kind: Annotated[Kind, typer.Option(help=both("cli.opt.kind"))] = Kind.CONSULTATION,
    at: Annotated[datetime | None, typer.Option(help=both("cli.opt.at"))] = None,
    override_reason: Annotated[str | None, typer.Option(help=both("cli.opt.override-reason"))] = None,
    override_by: Annotated[str | None, typer.Option(help=both("cli.opt.override-by"))] = None,
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
            override=_override(override_reason, override_by),
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


@app.command(help=both("cli.consultation.today"))
def today(as_json: AsJson = False) -> None:
    from api import actions
    from api.schemas.today import TodayRow

    with opened() as core:
        words, zone = load_messages(core.settings.web.language), core.settings.zone
        rows = [TodayRow.of(visit, words, zone) for visit in actions.list_today(core, operator(core))]
        if as_json:
            print_json([row.model_dump(mode="json") for row in rows])
            return
        if not rows:
            say("cli.consultation.today.none")
            return
        columns = ("case", "time", "title", "standing")
        print_table([f"cli.col.{name}" for name in columns], [_line(row, zone) for row in rows])


def _line(row: TodayRow, zone: ZoneInfo) -> tuple[str, ...]:
    told = [row.consent_text]
    if row.override_reason:
        told.append(both("today.override", by=row.override_by, reason=row.override_reason))
    return (
        row.id,
        f"{row.scheduled_at.astimezone(zone):%H:%M}",
        f"{row.title} ({row.expert}, {row.patient})",
        "\n".join(told),
    )


@app.command(help=both("cli.consultation.cancel"))
def cancel(consultation_id: ConsultationId, user: As) -> None:
    from api import actions

    with opened() as core:
        actions.cancel_consultation(core, named(core, user), consultation_id)
        say("cli.consultation.cancelled", id=consultation_id)


@app.command(help=both("cli.consultation.withdraw"))
def withdraw(
    consultation_id: ConsultationId,
    user: As,
    purpose: Annotated[list[Purpose] | None, typer.Option(help=both("cli.opt.withdraw-purpose"))] = None,
    reason: Annotated[str, typer.Option(help=both("cli.opt.withdraw-reason"))] = "",
) -> None:
    from api import actions

    with opened() as core:
        case = actions.withdraw_consent(
            core, named(core, user), consultation_id, purposes=purpose or None, reason=reason
        )
        sealed = case.state is State.WITHDRAWN
        key = "cli.consultation.withdrawn" if sealed else "cli.consultation.withdrawn-some"
        say(key, id=consultation_id)


def _override(reason: str | None, by: str | None) -> Override | None:
    from api.actions import Override

    return None if reason is None and by is None else Override(reason or "", by or "")
