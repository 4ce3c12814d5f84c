"""``yian user``: who may log in. ``yian enrol``: which experts stay visible."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.common import As, AsJson, PasswordStdin, ask_password, named, opened, operator, proven
from api.console import both, print_json, print_table, say
from api.messages import load_messages
from archive.terms import Role
from config.errors import RequestRejected

if TYPE_CHECKING:
    from api.core import Core
    from archive.models import User

app = typer.Typer(no_args_is_help=True)


@app.command(help=both("cli.user.add"))
def add(
    username: str,
    name: Annotated[str, typer.Option(help=both("cli.opt.name"))],
    role: Annotated[Role, typer.Option(help=both("cli.opt.role"))],
    password_stdin: PasswordStdin = False,
) -> None:
    from api.actions import create_user

    with opened() as core:
        password = ask_password(password_stdin)
        user = create_user(core, operator(core), username=username, name=name, role=role, password=password)
        say("cli.user.added", username=user.username)


@app.command("list", help=both("cli.user.list"))
def list_users(as_json: AsJson = False) -> None:
    from sqlalchemy import select

    from archive.models import User

    with opened() as core:
        with core.catalog.read() as session:
            users = session.scalars(select(User).order_by(User.username)).all()
        rows = [(user.username, user.name, str(user.role), user.id) for user in users]
        if as_json:
            print_json([dict(zip(("username", "name", "role", "id"), row, strict=True)) for row in rows])
        else:
            print_table(("cli.col.username", "cli.col.name", "cli.col.role", "cli.col.id"), rows)


enrol_app = typer.Typer(no_args_is_help=True)


@enrol_app.command(help=both("cli.enrol.expert"))
def expert(
    manager: As,
    photo: Annotated[Path, typer.Option(exists=True, dir_okay=False, help=both("cli.opt.photo"))],
    consent: Annotated[Path, typer.Option(exists=True, dir_okay=False, help=both("cli.opt.expert-consent"))],
    username: Annotated[str, typer.Argument(metavar="[USER]", help=both("cli.arg.expert"))] = "",
    password_stdin: PasswordStdin = False,
) -> None:
    from api.actions import enrol_expert

    with opened() as core:
        person = _expert(core, username)
        actor = proven(core, manager, password_stdin)
        enrol_expert(core, actor, person.id, photo, consent.read_bytes())
        say("cli.enrol.done", name=person.name)


@enrol_app.command("list", help=both("cli.enrol.list"))
def list_enrolled(as_json: AsJson = False) -> None:
    from sqlalchemy import select

    from archive.models import FaceTemplate, User

    with opened() as core:
        query = select(FaceTemplate, User).join(User, User.id == FaceTemplate.expert_id)
        with core.catalog.read() as session:
            found = session.execute(query.order_by(User.username, FaceTemplate.enrolled_at)).all()
        if as_json:
            names = ("username", "name", "enrolled_at", "consent_sha256")
            rows = [
                (who.username, who.name, at.enrolled_at.isoformat(), at.consent_sha256) for at, who in found
            ]
            print_json([dict(zip(names, row, strict=True)) for row in rows])
            return
        words, zone = load_messages(core.settings.web.language), core.settings.zone
        print_table(
            ("cli.col.username", "cli.col.name", "cli.col.when", "cli.col.consent"),
            [
                (who.username, who.name, words.time(at.enrolled_at, zone), at.consent_sha256[:16])
                for at, who in found
            ],
        )


@enrol_app.command(help=both("cli.enrol.forget"))
def forget(
    manager: As,
    username: Annotated[str, typer.Argument(metavar="[USER]", help=both("cli.arg.expert"))] = "",
    password_stdin: PasswordStdin = False,
) -> None:
    from api.actions import forget_expert

    with opened() as core:
        person = _expert(core, username)
        forget_expert(core, proven(core, manager, password_stdin), person.id)
        say("cli.enrol.forgotten", name=person.name)


def _expert(core: Core, username: str) -> User:
    """The expert of that login name, or the only one there is. Raises NotFound or RequestRejected."""
    from sqlalchemy import select

    from archive.models import User

    if username:
        return named(core, username)
    with core.catalog.read() as session:
        experts = session.scalars(select(User).where(User.role == Role.EXPERT, User.active)).all()
    if len(experts) != 1:
        names = ", ".join(sorted(person.username for person in experts)) or "none yet"
        raise RequestRejected(problem=f"name the expert: {names}")
    return experts[0]
