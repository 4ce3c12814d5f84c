"""``yian consultation attach`` and what else is done to attachments from a terminal."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from api.commands.common import As, AsJson, named, opened
from api.commands.consultation import ConsultationId
from api.console import both, print_json, print_table, say
from archive.terms import Topic
from config.errors import AlreadyExists, AttachmentRejected

AttachmentId = Annotated[str, typer.Argument(metavar="ATTACHMENT", help=both("cli.arg.attachment"))]


def attach(
    consultation_id: ConsultationId,
    file: Annotated[Path, typer.Argument(help=both("cli.arg.attachment-file"))],
    user: As,
    type: Annotated[Topic, typer.Option(help=both("cli.opt.attachment-type"))],
    at: Annotated[datetime | None, typer.Option(help=both("cli.opt.taken-at"))] = None,
    note: Annotated[str, typer.Option(help=both("cli.opt.attachment-note"))] = "",
    replaces: Annotated[str | None, typer.Option(help=both("cli.opt.replaces"))] = None,
) -> None:
    from api import actions
    from archive.models import utc_now

    if not file.is_file():
        raise AttachmentRejected(why="no-file", detail="")
    with opened() as core:
        kept = actions.attach(
            core,
            named(core, user),
            consultation_id,
            file,
            topic=type,
            taken_at=at.replace(tzinfo=core.settings.zone) if at else utc_now(),
            note=note[:1000],
            replaces=replaces,
        )
        say("cli.attachment.added", id=kept.id, form=kept.form)


def list_attachments(consultation_id: ConsultationId, user: As, as_json: AsJson = False) -> None:
    from api import actions
    from api.schemas.attachments import AttachmentAnswer

    with opened() as core:
        actor = named(core, user)
        found = actions.list_attachments(core, actor, consultation_id)
        rows = [AttachmentAnswer.seen_by(actor, kept) for kept in found]
        if as_json:
            print_json([row.model_dump(mode="json") for row in rows])
            return
        if not rows:
            say("cli.attachment.none")
            return
        columns = ("attachment", "type", "format", "taken", "released", "concerns")
        print_table(
            [f"cli.col.{column}" for column in columns],
            [
                (
                    row.id,
                    both(f"attachment.type.{row.type}"),
                    row.format,
                    f"{row.taken_at.astimezone(core.settings.zone):%Y-%m-%d %H:%M}",
                    both("cli.yes" if row.released else "cli.no"),
                    " ".join(row.concerns),
                )
                for row in rows
            ],
        )


def save(
    consultation_id: ConsultationId,
    attachment_id: AttachmentId,
    out: Annotated[Path, typer.Argument(help=both("cli.arg.out-file"))],
    user: As,
) -> None:
    from api import actions

    with opened() as core:
        _, content = actions.open_attachment(core, named(core, user), consultation_id, attachment_id)
        try:
            # Health data: a file that only its owner reads, and never over another.
            with out.open("xb") as file:
                out.chmod(0o600)
                file.write(content)
        except FileExistsError as error:
            raise AlreadyExists(what=str(out)) from error
        say("cli.attachment.saved", path=out)


def release(
    consultation_id: ConsultationId,
    attachment_id: AttachmentId,
    user: As,
    sha256: Annotated[str, typer.Option(help=both("cli.opt.sha256"))],
) -> None:
    from api import actions

    with opened() as core:
        actions.release_attachment(core, named(core, user), consultation_id, attachment_id, sha256)
        say("cli.attachment.released", id=attachment_id)


def detach(consultation_id: ConsultationId, attachment_id: AttachmentId, user: As) -> None:
    from api import actions

    with opened() as core:
        actions.delete_attachment(core, named(core, user), consultation_id, attachment_id)
        say("cli.attachment.deleted", id=attachment_id)
