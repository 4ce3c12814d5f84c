"""What commands share: the opened core, and in whose name a command acts."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from api.console import both
from archive.terms import Role
from config.errors import NotFound
from config.settings import load_settings

if TYPE_CHECKING:
    from api.core import Core
    from archive.models import User

AsJson = Annotated[bool, typer.Option("--json", help=both("cli.opt.json"))]
CaseId = Annotated[str, typer.Argument(metavar="ID", help=both("cli.arg.case"))]
As = Annotated[str, typer.Option("--as", metavar="USER", help=both("cli.opt.as"))]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help=both("cli.opt.password-stdin"))]


@contextmanager
def opened() -> Iterator[Core]:
    from api.core import open_core

    core = open_core(load_settings())
    try:
        yield core
    finally:
        core.close()


def operator(core: Core) -> User:
    """Whoever may read this installation's files may look at everything in it and stop or resume work.

    What needs a named person (recording, consent, review) goes through ``named`` instead.
    """
    from archive.models import User

    return User(
        id=f"cli:{getpass.getuser()}",
        username="",
        name=getpass.getuser(),
        role=Role.MANAGER,
        base_code=core.settings.base.code,
    )


def named(core: Core, username: str) -> User:
    """The person of that login name. Raises NotFound."""
    from sqlalchemy import select

    from archive.models import User

    with core.catalog.read() as session:
        user = session.scalar(select(User).where(User.username == username, User.active))
    if user is None:
        raise NotFound(what="user", id=username)
    return user


def proven(core: Core, username: str, from_stdin: bool) -> User:
    """The person of that login name, who has just shown to know the password."""
    from api.auth import authenticate

    return authenticate(core, username, ask_password(from_stdin))


def ask_password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    return getpass.getpass(both("cli.ask.password"))
