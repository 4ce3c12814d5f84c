"""``yian rig``: what this machine has, a first rig file, and a trial of it."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote

import typer

from api.commands.common import AsJson
from api.console import both, out, print_json, print_table, progress_bar, say
from config.errors import AlreadyExists

if TYPE_CHECKING:
    from capture.devices import Device
    from capture.trial import InputReport

app = typer.Typer(no_args_is_help=True)

RigFile = Annotated[Path, typer.Option("--rig", metavar="FILE", help=both("cli.opt.rig"))]
DEFAULT_RIG = Path("rig.toml")
FORMATS_SHOWN = 4
# The first camera looks at the desk, the first microphone is the expert's, and so on.
ROLES = {"video": ("desk", "room", "hands", "tongue"), "audio": ("expert", "patient", "room", "trainee")}
TABLES = {"video": "camera", "audio": "microphone"}


@app.command("list", help=both("cli.rig.list"))
def list_inputs(as_json: AsJson = False) -> None:
    from capture.devices import list_devices

    found = list_devices()
    if as_json:
        print_json([each.to_dict() for each in found])
        return
    if not found:
        say("cli.rig.none")
        return
    rows = [
        (both(f"rig.kind.{each.kind}"), each.input, each.source, each.title, _shown(each)) for each in found
    ]
    columns = ("rig.col.kind", "rig.col.input", "rig.col.source", "rig.col.title", "rig.col.formats")
    print_table(columns, rows)


def _shown(device: Device) -> str:
    more = len(device.formats) - FORMATS_SHOWN
    return ", ".join(device.formats[:FORMATS_SHOWN]) + (f" … +{more}" if more > 0 else "")


@app.command("test", help=both("cli.rig.test"))
def try_out(
    rig: RigFile = DEFAULT_RIG,
    seconds: Annotated[float, typer.Option(min=1, max=60, help=both("cli.rig.opt.seconds"))] = 5.0,
    as_json: AsJson = False,
) -> None:
    from capture.rig import load_rig
    from capture.trial import try_rig

    chosen = load_rig(rig)
    with progress_bar("cli.rig.progress") as progress:
        reports = try_rig(chosen, seconds, progress)
    if as_json:
        print_json([_with_words(each) for each in reports])
    else:
        _print_reports(reports)
    if any(each.problems for each in reports):
        raise typer.Exit(1)


def _with_words(report: InputReport) -> dict[str, Any]:
    told = report.to_dict()
    for problem, each in zip(told["problems"], report.problems, strict=True):
        problem["words"] = both(f"rig.problem.{each.code}", **each.data)
        problem["next"] = both(f"rig.problem.{each.code}.next", **each.data)
    return told


def _print_reports(reports: list[InputReport]) -> None:
    for each in reports:
        mark = "[red]✗[/]" if each.problems else "[green]✓[/]"
        facts = _facts(each.facts)
        where = f"{both(f'rig.kind.{each.kind}')} {each.name} ({each.role}, {each.input})"
        out.print(f"{mark} {where}{': ' + facts if facts else ''}", soft_wrap=True)
        for problem in each.problems:
            for key, sign in (
                (f"rig.problem.{problem.code}", " "),
                (f"rig.problem.{problem.code}.next", "→"),
            ):
                # A device's name may have square brackets, which are no markup.
                out.print(f"  {sign} {both(key, **problem.data)}", soft_wrap=True, markup=False)
    bad = sum(bool(each.problems) for each in reports)
    say("cli.rig.bad" if bad else "cli.rig.good", bad=bad, count=len(reports))


def _facts(facts: dict[str, Any]) -> str:
    if "width" in facts:
        return f"{facts['width']}x{facts['height']}, {facts['fps']:g} fps"
    return f"{facts['level_dbfs']:g} dBFS, {facts['seconds']:g} s" if facts else ""


@app.command("new", help=both("cli.rig.new"))
def new(
    rig: RigFile = DEFAULT_RIG,
    yes: Annotated[bool, typer.Option("--yes", help=both("cli.rig.opt.yes"))] = False,
) -> None:
    from capture.devices import list_devices
    from capture.rig import load_rig, secrets_file

    if rig.exists() and (yes or not typer.confirm(both("cli.rig.ask.overwrite", file=rig), default=False)):
        raise AlreadyExists(what=str(rig))
    found = list_devices()
    asked = _Interview(found, yes)
    asked.devices()
    asked.network_cameras()
    if not asked.entries:
        say("cli.rig.test-sources")
        asked.test_sources()
    rig.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".rig-", dir=rig.parent) as folder:
        draft = Path(folder) / rig.name
        _write(draft, asked.text(), 0o644)
        _write(secrets_file(draft), _toml(asked.secrets), 0o600)
        load_rig(draft)  # what was there before stays until the new one is known to be good
        if asked.secrets:
            secrets_file(draft).replace(secrets_file(rig))
            say("cli.rig.secrets", file=secrets_file(rig))
        draft.replace(rig)
    say("cli.rig.written", file=rig, count=len(asked.entries))
    if all(table == "camera" for table, _ in asked.entries):
        say("cli.rig.mute", file=rig)


class _Interview:
    """Questions to the technician, and what they made of the rig. With ``yes`` every answer is the default."""

    def __init__(self, found: list[Device], yes: bool) -> None:
        self.found = found
        self.yes = yes
        self.entries: list[tuple[str, dict[str, Any]]] = []
        self.secrets: dict[str, Any] = {}

    def devices(self) -> None:
        # A sound server has the ALSA devices open and offers them itself.
        served = any(each.input == "pulse" for each in self.found)
        for device in self.found:
            where = f"{both(f'rig.kind.{device.kind}')}: {device.title} ({device.source})"
            if self._confirm("cli.rig.ask.use", default=not (served and device.input == "alsa"), what=where):
                entry: dict[str, Any] = {"input": device.input, "source": device.source}
                if device.kind == "video":
                    entry |= _picture(device.formats)
                else:
                    entry |= {"rate_hz": 48_000}
                self._add(device.kind, entry)

    def network_cameras(self) -> None:
        while not self.yes and typer.confirm(both("cli.rig.ask.network"), default=False):
            address = typer.prompt(both("cli.rig.ask.address")).strip()
            scheme, found, rest = address.partition("://")
            if not found:
                scheme, rest = "http", address
            # A log-in that was typed into the address goes into the file of secrets like any other.
            login, _, rest = rest.rpartition("@")
            user, _, password = (unquote(part) for part in login.partition(":"))
            if not user:
                user = typer.prompt(both("cli.rig.ask.user"), default="", show_default=False).strip()
            name, role = self._named("video")
            if user:
                password = password or typer.prompt(both("cli.rig.ask.password"), hide_input=True)
                key = re.sub(r"\W", "_", name).upper()
                self.secrets |= {f"{key}_USER": user, f"{key}_PASSWORD": password}
                rest = f"${{{key}_USER}}:${{{key}_PASSWORD}}@{rest}"
            kind = "rtsp" if scheme.startswith("rtsp") else "onvif"
            self.entries.append(
                (
                    "camera",
                    {
                        "name": name,
                        "role": role,
                        "input": kind,
                        "source": f"{scheme}://{rest}",
                        "codec": "copy",
                    },
                )
            )

    def test_sources(self) -> None:
        self.yes = True  # nothing about them is worth a question
        picture = {"input": "test", "source": "testsrc2", "width": 1280, "height": 720, "fps": 25}
        self._add("video", {**picture, "realtime": True})
        for source in ("sine:440", "sine:660"):
            self._add("audio", {"input": "test", "source": source, "rate_hz": 48_000, "realtime": True})

    def text(self) -> str:
        parts = [f"# {line}" for line in both("cli.rig.head").split(" · ")]
        for table, entry in self.entries:
            parts += ["", f"[[{table}]]", _toml(entry).rstrip()]
        return "\n".join(parts) + "\n"

    def _add(self, kind: str, entry: dict[str, Any]) -> None:
        name, role = self._named(kind)
        self.entries.append((TABLES[kind], {"name": name, "role": role, **entry}))

    def _named(self, kind: str) -> tuple[str, str]:
        table, roles = TABLES[kind], ROLES[kind]
        done = sum(each == table for each, _ in self.entries)
        role = usual = roles[min(done, len(roles) - 1)]
        if not self.yes:
            role = ""
            while role not in roles:
                told = ", ".join(f"{each} {both(f'station.role.{each}')}" for each in roles)
                role = typer.prompt(both("cli.rig.ask.role", roles=told), default=usual)
        taken = Counter(entry["name"] for _, entry in self.entries)
        # The room may have both a camera and a microphone of that role.
        name = next(
            each
            for each in (role, f"{role}-{table}", *(f"{role}-{n}" for n in range(2, 99)))
            if not taken[each]
        )
        return name, role

    def _confirm(self, key: str, *, default: bool, **data: object) -> bool:
        return default if self.yes else typer.confirm(both(key, **data), default=default)


def _picture(formats: tuple[str, ...]) -> dict[str, Any]:
    """H.264 from the camera where it has it, else the largest picture up to 1080p that it delivers as mjpeg."""
    sizes: dict[str, list[tuple[int, int]]] = {}
    for each in formats:
        pixels, size = each.split(" ")
        width, height = (int(side) for side in size.split("x"))
        if width <= 1920 and height <= 1080:
            sizes.setdefault(pixels, []).append((width, height))
    for pixels, choice in (("h264", {"codec": "copy"}), ("mjpeg", {"format": "mjpeg"})):
        if pixels in sizes:
            width, height = max(sizes[pixels])
            return {**choice, "width": width, "height": height}
    return {"width": 1280, "height": 720}


def _toml(table: dict[str, Any]) -> str:
    # A JSON string is a TOML basic string.
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in table.items())


def _write(path: Path, text: str, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
