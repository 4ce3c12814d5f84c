"""Whether this machine can do the work: every check says what it found and what to do about it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from archive.catalog import open_catalog
from archive.store import open_store
from config.errors import YianError
from config.settings import Settings
from processing.detectors import EXPECTED_RECALL
from processing.jobs import JobClient
from processing.media import ffmpeg_path
from processing.weights import list_models

Status = Literal["ok", "warn", "fail"]
COMFORTABLE_FREE_MB = 20_000


@dataclass(frozen=True)
class Check:
    """``name`` and ``advice`` are message keys (``advice`` empty when there is nothing to do)."""

    name: str
    status: Status
    detail: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


def examine(settings: Settings) -> list[Check]:
    """Every check, in the order in which one would repair things."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    checks = [_disk(settings), _ffmpeg(), *_models(settings), *_devices()]
    for name, probe in (("database", _database), ("jobs", _jobs), ("store", _store)):
        checks.append(_attempt(f"doctor.{name}", partial(probe, settings)))
    return checks


def _attempt(name: str, probe: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", probe())
    except YianError as error:
        return Check(name, "fail", str(error), f"{name}.advice")


def _disk(settings: Settings) -> Check:
    free_mb = shutil.disk_usage(settings.home).free >> 20
    told = f"{free_mb / 1024:.0f} GB · {settings.home.resolve()}"
    if free_mb < settings.processing.min_free_mb:
        return Check("doctor.disk", "fail", told, "doctor.disk.advice")
    status: Status = "ok" if free_mb >= COMFORTABLE_FREE_MB else "warn"
    return Check("doctor.disk", status, told, "" if status == "ok" else "doctor.disk.advice")


def _ffmpeg() -> Check:
    return _attempt("doctor.ffmpeg", ffmpeg_path)


def _models(settings: Settings) -> Iterator[Check]:
    for model in list_models(settings):
        if not model.selected:
            continue
        if not model.present:
            yield Check(f"doctor.model.{model.purpose}", "fail", model.name, "doctor.model.advice")
        elif model.demo_only:
            yield Check(f"doctor.model.{model.purpose}", "warn", model.name, "doctor.model.demo.advice")
        elif model.name in EXPECTED_RECALL:
            found, faces = EXPECTED_RECALL[model.name]
            yield Check(f"doctor.model.{model.purpose}", "ok", f"{model.name} ({found}/{faces})")
        else:
            yield Check(f"doctor.model.{model.purpose}", "ok", model.name)


def _devices() -> Iterator[Check]:
    cameras = sorted(str(path) for path in Path("/dev").glob("video*"))
    microphones = sorted(path.name for path in Path("/proc/asound").glob("card[0-9]*/pcm*c"))
    for name, found in (("cameras", cameras), ("microphones", microphones)):
        told = ", ".join(found) or "0"
        # A core without devices is a healthy core; only a station needs them.
        yield Check(
            f"doctor.{name}", "ok" if found else "warn", told, "" if found else "doctor.devices.advice"
        )


def _database(settings: Settings) -> str:
    catalog = open_catalog(settings)
    catalog.close()
    return settings.catalog_url.split("@")[-1]


def _jobs(settings: Settings) -> str:
    client = JobClient(settings)
    try:
        client.check()
    finally:
        client.close()
    return settings.jobs_url.split("@")[-1]


def _store(settings: Settings) -> str:
    open_store(settings).check()
    return settings.store_url
