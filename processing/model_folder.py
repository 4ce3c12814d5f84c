"""A folder of a model with the checksums of its files: fetched where there is a network, copied to where there is none."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from archive.store import sha256_of
from config.errors import ChecksumMismatch, CoreUnreachable, ModelMissing
from config.settings import SpeechSettings

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_NAME = re.compile(r"[\w.-]+/[\w.-]+")
# Weights of other frameworks, which nothing here reads.
_NOT_NEEDED = ("*.msgpack", "*.h5", "*.ot", "*.onnx", "*.gguf")


def is_hub_name(name: str) -> bool:
    """Whether ``name`` can be that of a model on the hub: owner/model."""
    return _NAME.fullmatch(name) is not None and not name.startswith((".", "-"))


def folder_name(name: str) -> str:
    return name.replace("/", "--")


def fetch_folder(name: str, target: Path, settings: SpeechSettings) -> None:
    """Bring the model ``name`` from the hub, or the mirror the settings name, to ``target`` and note its checksums.

    ``target`` appears only when every file is there. Raises ModelMissing when the hub does not give it (the licence was
    not accepted, or there is no such model), CoreUnreachable when it does not answer.
    """
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        coming = Path(folder) / target.name
        try:
            snapshot_download(
                name,
                local_dir=coming,
                endpoint=settings.hub_endpoint or None,
                token=settings.hub_token.get_secret_value() or None,
                ignore_patterns=list(_NOT_NEEDED),
            )
        except HfHubHTTPError as error:
            raise ModelMissing(model=name, path=str(target), detail=str(error)[:300]) from error
        except (LocalEntryNotFoundError, httpx.HTTPError, OSError) as error:
            raise CoreUnreachable(url=settings.hub_endpoint or name, detail=str(error)[:300]) from error
        shutil.rmtree(coming / ".cache", ignore_errors=True)
        _note_sums(coming)
        _replace(coming, target)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder that ``fetch_folder`` made, from a disk that was carried here; it appears when every sum is right.

    Raises ModelMissing for a folder without checksums, ChecksumMismatch naming the first file that differs.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        coming = Path(folder) / target.name
        shutil.copytree(source, coming)
        check_folder(coming)
        _replace(coming, target)


def check_folder(folder: Path) -> None:
    """Compare every file with its checksum. Raises ModelMissing, ChecksumMismatch."""
    sums = folder / SUMS
    if not sums.is_file():
        raise ModelMissing(model=folder.name, path=str(sums))
    for line in sums.read_text("utf-8").splitlines():
        found = _LINE.fullmatch(line)
        path = folder / found[2] if found else None
        if found is None or path is None or not path.resolve().is_relative_to(folder.resolve()):
            raise ChecksumMismatch(name=SUMS, expected="sha256  file", found=line[:100])
        held = sha256_of(path) if path.is_file() else "absent"
        if held != found[1]:
            raise ChecksumMismatch(name=found[2], expected=found[1], found=held)


def _note_sums(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    rows = [f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / SUMS).write_text("".join(rows), "utf-8")


def _replace(coming: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    coming.replace(target)
