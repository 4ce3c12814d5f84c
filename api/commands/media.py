"""Commands over recordings and files: ``capture``, ``ingest``, ``blur``, ``transcribe``."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.common import As, AsJson, PasswordStdin, ask_password, named, opened
from api.console import both, print_json, progress_bar, say
from config.errors import EditsRejected, RequestRejected, error_from_dict
from config.settings import load_settings

if TYPE_CHECKING:
    from capture.agent import CaptureResult

AudioFiles = Annotated[list[str] | None, typer.Option(metavar="FILE=ROLE", help=both("cli.opt.audio"))]
VideoFiles = Annotated[list[Path], typer.Option(metavar="FILE", help=both("cli.opt.video"))]
# What people call a microphone's role beside its name in the code.
ROLE_WORDS = {"doctor": "expert", "physician": "expert"}


def parse_audio(given: list[str]) -> dict[str, Path]:
    """``doctor.wav=doctor`` pairs as role -> file. Raises RequestRejected."""
    files: dict[str, Path] = {}
    for each in given:
        name, found, word = each.rpartition("=")
        role = ROLE_WORDS.get(word, word)
        if not found or not name or role in files:
            raise RequestRejected(problem=f"{each!r}: write FILE=ROLE, each role once")
        files[role] = Path(name)
    return files


def capture(
    rig: Annotated[Path | None, typer.Option(help=both("cli.opt.rig"))] = None,
    consultation: Annotated[str, typer.Option(help=both("cli.opt.consultation"))] = "",
    seconds: Annotated[float, typer.Option(min=0, help=both("cli.opt.seconds"))] = 0.0,
    resume: Annotated[bool, typer.Option("--resume", help=both("cli.opt.resume"))] = False,
    user: Annotated[str, typer.Option("--as", metavar="USER", help=both("cli.opt.as"))] = "",
    password_stdin: PasswordStdin = False,
    as_json: AsJson = False,
) -> None:
    from pydantic import SecretStr

    from capture import agent
    from capture.core import log_in
    from capture.rig import load_rig

    settings = load_settings()
    station = settings.capture
    if user:
        token = log_in(station, user, ask_password(password_stdin))
        station = station.model_copy(update={"token": SecretStr(token)})
    # What an earlier call could not bring home goes first: it cannot be recorded again.
    left = agent.resume(settings.home, station)
    if resume:
        _tell_resumed(left, as_json)
        return
    if rig is None or not consultation or seconds <= 0:
        raise RequestRejected(problem="--rig, --consultation and --seconds are needed")
    with progress_bar("cli.capture.progress") as progress:
        result = agent.capture(load_rig(rig), consultation, seconds, station, settings.home, progress)
    if as_json:
        print_json(result.to_dict())
    if result.uploaded:
        if not as_json:
            say("cli.capture.done", seconds=f"{result.seconds:.1f}", case=result.case)
        return
    say("cli.capture.kept")
    if result.problem is not None:
        raise error_from_dict(result.problem)
    raise typer.Exit(1)


def _tell_resumed(left: list[CaptureResult], as_json: bool) -> None:
    """What became of the recordings that were waiting. Raises the first problem of one that still waits."""
    if as_json:
        print_json([result.to_dict() for result in left])
    elif not left:
        say("cli.capture.nothing-waiting")
    for result in left:
        if result.uploaded and not as_json:
            say("cli.capture.done", seconds=f"{result.seconds:.1f}", case=result.case)
    problems = [result.problem for result in left if result.problem is not None]
    if problems:
        raise error_from_dict(problems[0])


def ingest(
    consultation: Annotated[str, typer.Option(help=both("cli.opt.consultation"))],
    video: VideoFiles,
    user: As,
    audio: AudioFiles = None,
) -> None:
    from api.ingest import ingest as take_in

    with opened() as core, progress_bar("cli.ingest.progress") as progress:
        case = take_in(core, named(core, user), consultation, video, parse_audio(audio or []), progress)
    say("cli.ingest.done", case=case.id)


def blur(
    source: Annotated[Path, typer.Argument(metavar="IN", exists=True, dir_okay=False)],
    target: Annotated[Path, typer.Argument(metavar="OUT")],
    keep_face: Annotated[list[Path] | None, typer.Option(help=both("cli.opt.keep-face"))] = None,
    overrides: Annotated[Path | None, typer.Option(help=both("cli.opt.overrides"))] = None,
    detections: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help=both("cli.opt.detections"))
    ] = None,
    style: Annotated[str | None, typer.Option(help="mosaic | blur | solid")] = None,
    report: Annotated[Path | None, typer.Option(help=both("cli.opt.report"))] = None,
    as_json: AsJson = False,
) -> None:
    from processing.child import run_alone

    if report is not None and not report.resolve().parent.is_dir():
        raise RequestRejected(problem=f"{report.parent} is not a folder")
    settings = load_settings(**({"vision": {"style": style}} if style else {}))
    params = {
        "source": str(source.resolve()),
        "target": str(target.resolve()),
        "keep_photos": [str(photo.resolve()) for photo in keep_face or []],
        "edits": _read_json(overrides),
        "detections": str(detections.resolve()) if detections is not None else "",
        "report": str(report.resolve()) if report is not None else "",
    }
    with progress_bar("cli.blur.progress") as progress:
        told = run_alone("blur-file", params, settings, progress=progress)
    verdict = told["verification"]["verdict"]
    if as_json:
        print_json(told)
    else:
        decisions = Counter(track["decision"] for track in told["tracks"])
        say(
            "cli.blur.done",
            target=target,
            frames=told["frames"],
            fps=told["fps"],
            kept=decisions["keep"],
            blurred=decisions["blur"],
            deleted=decisions["delete"],
            regions=len(told["regions"]),
            verdict=both(f"verdict.{verdict}"),
        )
    if verdict != "pass":
        raise typer.Exit(1)


def _read_json(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise EditsRejected(problem=str(error)) from error


def transcribe(
    files: Annotated[list[str], typer.Argument(metavar="FILE[=ROLE]…", help=both("cli.opt.audio"))],
    target: Annotated[Path, typer.Option("--out", help=both("cli.opt.out"))],
    redact: Annotated[bool, typer.Option("--redact", help=both("cli.opt.redact"))] = False,
    name: Annotated[list[str] | None, typer.Option(help=both("cli.opt.name"))] = None,
    as_json: AsJson = False,
) -> None:
    from processing.child import run_alone

    alone = len(files) == 1 and "=" not in files[0]
    found = {"room": Path(files[0])} if alone else parse_audio(files)
    for path in found.values():
        if not path.is_file():
            raise RequestRejected(problem=f"{path} is not a file")
    params = {
        "redact": redact or bool(name),
        "names": name or [],
        "files": {role: str(path.resolve()) for role, path in found.items()},
        "target": str(target.resolve()),
    }
    with progress_bar("cli.transcribe.progress") as progress:
        told = run_alone("transcribe-files", params, load_settings(), progress=progress)
    if as_json:
        print_json(told)
    else:
        say("cli.transcribe.done", lines=len(told["lines"]), target=target)
        if "speakers-unknown" in told["notes"]:
            say("cli.transcribe.speakers-unknown")
