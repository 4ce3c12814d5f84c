"""The package of a case: a BagIt bag (RFC 8493, sha512) that anyone can check and open in a hundred years.

``data/`` is the RO-Crate: ``media/``, ``transcript/`` and ``reports/`` as the pipeline left them, and the consent
as FHIR. The same inputs give the same bytes; that is why the manifests are written here, where every line is
sorted, and the bagit library, whose order is that of the folder on disk, is the judge of the finished bag.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bagit

from archive.crate import CRATE_FILE, crate_metadata
from archive.facts import ConsentFacts, PackageFacts, utc_text
from archive.fhir import fhir_consent
from archive.fixity import MANIFEST, TAGMANIFEST, render_manifest
from archive.store import CHUNK_BYTES, disk_full_is_named, valid_key
from config.errors import PackageInvalid, RequestRejected

__all__ = ["ConsentFacts", "PackageFacts", "PackageInfo", "build_package"]

PROFILE = Path(__file__).with_name("bagit-profile.json")
CONSENT_FILE = "consent/consent.fhir.json"
FOLDERS = frozenset({"media", "transcript", "reports"})
REQUIRED = ("media/video.mp4", "transcript/transcript.json", "reports/verification.json")


@dataclass(frozen=True)
class PackageInfo:
    """``seal`` is the SHA-512 (hex) of the tag manifest, and through it of every byte of the package."""

    files: int
    size_bytes: int
    seal: str


def build_package(source: Path, bag: Path, facts: PackageFacts) -> PackageInfo:
    """Make the folder ``bag`` from ``source`` (with ``media/``, ``transcript/``, ``reports/``) and ``facts``.

    The bag appears whole or not at all; one that is there already is replaced. Raises RequestRejected for a
    source that lacks what a package must hold or holds what it may not, DiskFull, PackageInvalid.
    """
    names = _payload_names(source)
    partial = bag.with_name(f".{bag.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with disk_full_is_named(bag.parent):
            payload = _Payload(partial)
            for name in names:
                payload.copy(source / name, name)
            payload.write_json(CONSENT_FILE, fhir_consent(facts))
            payload.write_json(CRATE_FILE, crate_metadata(facts, payload.sizes))
            seal = _write_tag_files(partial, payload, facts)
        _judge(partial, facts.case)
        if bag.exists():
            shutil.rmtree(bag)
        partial.rename(bag)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return PackageInfo(len(payload.sizes), sum(payload.sizes.values()), seal)


class _Payload:
    """The files under ``data/`` while they are written: path to size, and manifest entries."""

    def __init__(self, bag: Path) -> None:
        self._folder = bag / "data"
        self.sizes: dict[str, int] = {}
        self.sums: dict[str, str] = {}

    def copy(self, source: Path, name: str) -> None:
        # A link would let a later change of the source change the bag.
        with source.open("rb") as file:
            self._write(name, iter(lambda: file.read(CHUNK_BYTES), b""))

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        text = json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True)
        self._write(name, iter([f"{text}\n".encode()]))

    def _write(self, name: str, chunks: Iterator[bytes]) -> None:
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha512(), 0
        with target.open("xb") as out:
            for chunk in chunks:
                digest.update(chunk)
                size += out.write(chunk)
        self.sizes[name] = size
        self.sums[f"data/{name}"] = digest.hexdigest()


def _payload_names(source: Path) -> list[str]:
    """Every file of the source, sorted. Links are refused: they could lead to anything on this machine."""
    names: list[str] = []
    for folder, folders, files in os.walk(source):
        for entry in (*folders, *files):
            path = Path(folder, entry)
            name = path.relative_to(source).as_posix()
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or name.split("/")[0] not in FOLDERS:
                raise RequestRejected(problem=f"does not belong into a package: {name[:80]!r}")
            if stat.S_ISREG(mode):
                names.append(valid_key(name))
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise RequestRejected(problem=f"a package needs {missing[0]}")
    return sorted(names)


def _write_tag_files(bag: Path, payload: _Payload, facts: PackageFacts) -> str:
    info = {
        "Bag-Software-Agent": "yian",
        "BagIt-Profile-Identifier": json.loads(PROFILE.read_text())["BagIt-Profile-Info"][
            "BagIt-Profile-Identifier"
        ],
        "Bagging-Date": utc_text(facts.packaged_at)[:10],
        "External-Description": facts.title,
        "External-Identifier": facts.case,
        "Payload-Oxum": f"{sum(payload.sizes.values())}.{len(payload.sizes)}",
        "Source-Organization": f"{facts.base_name} ({facts.base_code})",
    }
    # A line break in a title would begin a new tag.
    lines = [f"{name}: {' '.join(value.split())}\n" for name, value in info.items()]
    tags = {
        "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        "bag-info.txt": "".join(lines).encode(),
        PROFILE.name: PROFILE.read_bytes(),
        MANIFEST: render_manifest(payload.sums),
    }
    tagmanifest = render_manifest({name: hashlib.sha512(data).hexdigest() for name, data in tags.items()})
    for name, data in {**tags, TAGMANIFEST: tagmanifest}.items():
        (bag / name).write_bytes(data)
    return hashlib.sha512(tagmanifest).hexdigest()


def _judge(bag: Path, case: str) -> None:
    try:
        bagit.Bag(str(bag)).validate()
    except bagit.BagError as error:
        raise PackageInvalid(case=case, differences=1, first=str(error)) from error
