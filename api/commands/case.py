"""``yian case``: look at cases, resume, stop, check and hand out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.common import AsJson, CaseId, PasswordStdin, opened, operator, proven
from api.commands.review import read_edits
from api.console import both, out, print_json, print_table, progress_bar, say
from api.messages import load_messages
from archive.terms import State
from config.errors import NotFound, PackageInvalid, RequestRejected, error_from_dict

if TYPE_CHECKING:
    from api.core import Core
    from archive.models import Case

app = typer.Typer(no_args_is_help=True)


def describe(case: Case) -> dict[str, Any]:
    """A case as plain data, for ``--json`` and for people who count."""
    return {
        "id": case.id,
        "title": case.consultation.title,
        "base": case.base_code,
        "kind": str(case.consultation.kind),
        "expert": case.consultation.expert.name,
        "state": str(case.state),
        "reason": case.reason,
        "scheduled_at": case.consultation.scheduled_at.isoformat(),
        "published_at": case.published_at.isoformat() if case.published_at else None,
        "edit": case.edit,
        "run": case.run,
        "package_seal": case.package_seal,
        "summary": case.summary,
        "history": [
            {"to": str(t.new), "by": t.actor, "at": t.at.isoformat(), "note": t.note} for t in case.history
        ],
        "reviews": [
            {
                "level": str(r.level),
                "by": r.user_id,
                "decision": str(r.decision),
                "note": r.note,
                "edit": r.edit,
            }
            for r in case.reviews
        ],
        "steps": [
            {
                "step": step.step,
                "scope": step.scope,
                "worker": step.worker,
                "started_at": step.started_at.isoformat(),
                "ended_at": step.ended_at.isoformat() if step.ended_at else None,
                "progress": step.progress,
            }
            for step in case.steps
        ],
    }


@app.command("list", help=both("cli.case.list"))
def list_cases(
    state: Annotated[State | None, typer.Option(help=both("cli.opt.state"))] = None,
    search: Annotated[str, typer.Option(help=both("cli.opt.search"))] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help=both("cli.opt.limit"))] = 50,
    as_json: AsJson = False,
) -> None:
    from api import actions

    with opened() as core:
        cases = actions.list_cases(core, operator(core), state=state, query=search, limit=limit)
        if as_json:
            print_json([describe(case) for case in cases])
            return
        if not cases:
            say("cli.case.none")
            return
        words, zone = load_messages(core.settings.web.language), core.settings.zone
        print_table(
            ("cli.col.case", "cli.col.state", "cli.col.title", "cli.col.scheduled"),
            [
                (
                    case.id,
                    both(f"state.{case.state}"),
                    case.consultation.title,
                    words.time(case.consultation.scheduled_at, zone),
                )
                for case in cases
            ],
        )


@app.command(help=both("cli.case.show"))
def show(case_id: CaseId, as_json: AsJson = False) -> None:
    from api import actions

    with opened() as core:
        case = actions.show_case(core, operator(core), case_id)
        if as_json:
            print_json(describe(case))
            return
        words, zone = load_messages(core.settings.web.language), core.settings.zone
        out.print(f"[bold]{case.id}[/] {case.consultation.title} — {both(f'state.{case.state}')}")
        if case.reason:
            print_reason(case)
        print_table(
            ("cli.col.when", "cli.col.state", "cli.col.by", "cli.col.note"),
            [(words.time(t.at, zone), both(f"state.{t.new}"), t.actor, t.note) for t in case.history],
        )
        print_table(
            ("cli.col.step", "cli.col.seconds", "cli.col.progress"),
            [
                (
                    both(f"step.{step.step}"),
                    f"{(step.ended_at - step.started_at).total_seconds():.1f}" if step.ended_at else "",
                    f"{step.progress:.0%}",
                )
                for step in case.steps
            ],
        )


def print_reason(case: Case) -> None:
    """Why a case failed and what to do next, in both languages."""
    from api.console import print_error

    assert case.reason is not None
    print_error(error_from_dict(case.reason))


@app.command(help=both("cli.case.retry"))
def retry(
    case_id: CaseId,
    edits: Annotated[Path | None, typer.Option(help=both("cli.opt.edits"))] = None,
    user: Annotated[str, typer.Option("--as", metavar="USER", help=both("cli.opt.edits-as"))] = "",
    password_stdin: PasswordStdin = False,
) -> None:
    from api import actions

    if bool(edits) != bool(user):
        raise RequestRejected(problem="--edits and --as USER go together")
    wanted = read_edits(edits)
    with opened() as core:
        person = proven(core, user, password_stdin) if user else operator(core)
        case = actions.retry_case(core, person, case_id, edits=wanted)
        say("cli.case.retried", case=case.id)


@app.command(help=both("cli.case.cancel"))
def cancel(case_id: CaseId) -> None:
    from api import actions

    with opened() as core:
        case = actions.cancel_case(core, operator(core), case_id)
        say("cli.case.cancelled", case=case.id)


def _packaged(core: Core, case_id: str) -> tuple[Case, str]:
    from api import actions

    case = actions.show_case(core, operator(core), case_id)
    if case.package_prefix is None:
        raise NotFound(what="package", id=case_id)
    return case, case.package_prefix


@app.command(help=both("cli.case.verify"))
def verify(case_id: CaseId, as_json: AsJson = False) -> None:
    from archive.fixity import verify_package

    with opened() as core:
        case, prefix = _packaged(core, case_id)
        found = verify_package(core.store, prefix, case.package_seal)
        if as_json:
            print_json(
                {
                    "case": case.id,
                    "valid": not found,
                    "differences": [{"kind": d.kind, "name": d.name, "detail": d.detail} for d in found],
                }
            )
        else:
            for difference in found:
                out.print(both(f"cli.verify.{difference.kind}", name=difference.name), style="red")
        if found:
            raise PackageInvalid(
                case=case.id, differences=len(found), first=f"{found[0].kind}: {found[0].name}"
            )
        if not as_json:
            say("cli.case.verified", case=case.id, files=case.summary["package"]["files"])


@app.command(help=both("cli.case.export"))
def export(case_id: CaseId, folder: Annotated[Path, typer.Argument(help=both("cli.arg.folder"))]) -> None:
    from api import actions

    with opened() as core:
        with progress_bar("cli.case.exporting"):
            target = actions.export_case(core, operator(core), case_id, folder)
        say("cli.case.exported", folder=target)


def counters(as_json: AsJson = False) -> None:
    from api import actions

    with opened() as core:
        found = actions.counters(core, operator(core))
        if as_json:
            print_json([each.to_dict() for each in found])
            return
        print_table(
            ("cli.col.base", "cli.col.cases", "cli.col.sessions", "cli.col.by-year"),
            [
                (
                    f"{each.base_code} {each.base_name}",
                    f"{each.cases}/{each.case_target}",
                    f"{each.sessions}/{each.session_target}",
                    ", ".join(f"{year}: {count}" for year, count in each.sessions_by_year.items()),
                )
                for each in found
            ],
        )
