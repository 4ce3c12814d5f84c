"""A calibration in a rig file: the rest of the file, comments too, stays as its owner wrote it."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from capture.light_setup import Calibration, Region
from capture.rig import load_rig
from config.errors import RigRejected

_HEADER = re.compile(r"^\s*\[")


def calibration_toml(calibration: Calibration) -> str:
    """The table ``[light.calibration]``."""
    lines = ["[light.calibration]"]
    for name, value in calibration.model_dump(mode="python", exclude_none=True).items():
        lines.append(f"{name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def write_calibration(path: Path, calibration: Calibration, card: Region) -> None:
    """Put ``calibration``, and ``card`` where none is named, into the rig file in one step.

    The new text is read as a rig before it takes the file's place. Raises RigRejected; the file is then untouched.
    """
    before = load_rig(path)
    lines = _without(path.read_text(encoding="utf-8").splitlines(), "[light.calibration]")
    if before.light is None:
        lines += ["", "[light]", f"card = {_toml(card)}"]
    elif before.light.card is None:
        place = next(i for i, line in enumerate(lines) if line.split("#")[0].strip() == "[light]")
        lines.insert(place + 1, f"card = {_toml(card)}")
    text = "\n".join(lines).rstrip("\n") + "\n\n" + calibration_toml(calibration)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    fresh = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(path.stat().st_mode & 0o777)
        found = load_rig(fresh).light
        if found is None or found.calibration != calibration:
            words = "[light.calibration] could not be put in; paste it by hand"
            raise RigRejected(
                problem=f"{path.name}: {words}",
                place=path.name,
                mistake="calibration",
                detail="[light.calibration]",
            )
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _without(lines: list[str], header: str) -> list[str]:
    kept = []
    inside = False
    for line in lines:
        if _HEADER.match(line):
            inside = line.split("#")[0].strip() == header
        if not inside:
            kept.append(line)
    return kept


def _toml(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {_toml(each)}' for name, each in value.items())} }}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(each) for each in value)}]"
    return repr(value) if isinstance(value, float) else str(value)
