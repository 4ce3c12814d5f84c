"""``yian user``: who may log in."""

from __future__ import annotations

from typing import Annotated

import typer

from api.commands.common import AsJson, PasswordStdin, ask_password, opened, operator
from api.console import both, print_json, print_table, say
from archive.terms import Role

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
