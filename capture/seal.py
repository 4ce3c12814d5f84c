"""Sealing at the station: every segment is encrypted to the key of the base as soon as it is closed.

The station knows only the *recipient*, the public half of the base's key (age, X25519); the other half never leaves
the core. So what lies on a station that is stolen cannot be read there, nor by the station itself.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import pyrage
from pyrage import x25519

from capture.kept_file import keep, sync_folder
from config.errors import BaseKeyChanged, CoreUnreachable, DiskFull, NotReady, StoreUnavailable

SEALED_SUFFIX = ".age"
PART_SUFFIX = ".part"


@dataclass(frozen=True)
class BaseFacts:
    """What the core tells its stations. ``recipient`` is public: with it one can seal, never open."""

    base: str
    zone: str
    recipient: str


@dataclass(frozen=True)
class Sealed:
    """``sha256`` and ``size`` (bytes) are of the ciphertext at ``path``."""

    path: Path
    sha256: str
    size: int


def facts_path(home: Path) -> Path:
    return home / "station" / "base.json"


def read_facts(home: Path) -> BaseFacts:
    """What the core has told this station. Raises NotReady (``sealing``) where it never has: then nothing may be recorded."""
    try:
        facts = BaseFacts(**json.loads(facts_path(home).read_text(encoding="utf-8")))
        x25519.Recipient.from_str(facts.recipient)
    except (OSError, ValueError, TypeError, pyrage.RecipientError) as error:
        raise NotReady(reason="sealing") from error
    return facts


def keep_facts(home: Path, told: BaseFacts) -> None:
    """Keep what the core tells. Its key is trusted on first use and never replaced.

    Raises BaseKeyChanged for another recipient than the one kept (somebody may be posing as the core), and
    CoreUnreachable for one that is no key.
    """
    try:
        x25519.Recipient.from_str(told.recipient)
    except (pyrage.RecipientError, ValueError, TypeError) as error:
        raise CoreUnreachable(url="", detail="no key for sealing") from error
    try:
        kept = read_facts(home)
    except NotReady:
        kept = None
    if kept == told:
        return
    if kept is not None and kept.recipient != told.recipient:
        raise BaseKeyChanged(path=str(facts_path(home)))
    keep(facts_path(home), json.dumps(asdict(told)))


def seal_file(plain: Path, target: Path, recipient: str) -> Sealed:
    """Encrypt ``plain`` into ``target``, which appears whole and synced or not at all. The plain file stays.

    Raises DiskFull, StoreUnavailable.
    """
    part = target.with_name(target.name + PART_SUFFIX)
    try:
        pyrage.encrypt_file(str(plain), str(part), [x25519.Recipient.from_str(recipient)])
        with part.open("rb") as file:
            os.fsync(file.fileno())
            sha256, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
        part.replace(target)
        sync_folder(target.parent)
    except (pyrage.EncryptError, OSError) as error:
        part.unlink(missing_ok=True)
        # The library keeps the system's error number only in its text.
        full = getattr(error, "errno", None) == errno.ENOSPC or f"os error {errno.ENOSPC}" in str(error)
        if full:
            raise disk_full(target.parent, plain.stat().st_size) from error
        raise StoreUnavailable(store=str(target.parent), detail="cannot encrypt") from error
    return Sealed(target, sha256, size)


def disk_full(folder: Path, needed_bytes: int) -> DiskFull:
    """The error that names what is free under ``folder``."""
    free_mb = shutil.disk_usage(folder).free // 2**20
    return DiskFull(path=str(folder), needed_mb=max(1, needed_bytes // 2**20), free_mb=free_mb)
