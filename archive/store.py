"""The object store: where every byte lies that is kept. Two kinds, one behaviour: a folder, or any S3 server.

A key is parts of ``[A-Za-z0-9._-]`` joined by ``/``. A prefix is a key too and means a folder: ``cases/C1`` never
reaches into ``cases/C10``. A key that is the folder of other keys cannot hold an object itself.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from config.errors import ChecksumMismatch, DiskFull, RequestRejected, SettingsInvalid
from config.settings import Settings

CHUNK_BYTES = 1024 * 1024
MAX_KEY_CHARS = 512
# A file system allows 255 bytes for a name; a leading dot is left to the store's own folders.
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}(?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,254})*")


@dataclass(frozen=True)
class ObjectInfo:
    """``sha256`` (hex) is None where it is not known without reading the object, as in a listing."""

    key: str
    size: int
    sha256: str | None = None


class Store(Protocol):
    """What both kinds promise.

    An object appears whole or not at all, and an overwrite shows readers the old bytes or the new ones. Bytes
    read from their beginning to their end are checked against the SHA-256 kept beside them. Every call may
    raise StoreUnavailable, and RequestRejected for a key that is not one.
    """

    def put_file(self, key: str, path: Path) -> ObjectInfo:
        """Keep the file's bytes. When this returns they are durable. Raises DiskFull."""

    def put_bytes(self, key: str, data: bytes) -> ObjectInfo:
        """Keep ``data``. When this returns it is durable. Raises DiskFull."""

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Bytes ``start`` to ``start + length``, or to the end; fewer, or none, where the object ends before.

        Raises NotFound at the first chunk, and ChecksumMismatch at the end of a whole read.
        """

    def stat(self, key: str) -> ObjectInfo | None:
        """What is under ``key``; None when nothing is."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Everything below the folder ``prefix`` in the order of the keys; an empty prefix means everything."""

    def delete(self, key: str) -> None:
        """Remove the object in every version the store keeps; nothing happens when there is none."""

    def delete_prefix(self, prefix: str) -> int:
        """Remove everything below the folder ``prefix`` and say how many objects that were."""

    def check(self) -> None:
        """Write, read and remove a small object. Raises StoreUnavailable or DiskFull."""

    def get_bytes(self, key: str) -> bytes:
        """A small object whole. Raises NotFound, ChecksumMismatch."""
        return b"".join(self.stream(key))

    def get_file(self, key: str, path: Path) -> ObjectInfo:
        """Write the object to ``path``, which appears only once it is whole and verified.

        Raises NotFound, ChecksumMismatch, DiskFull.
        """
        digest, size = hashlib.sha256(), 0
        partial = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}")
        try:
            with disk_full_is_named(path), partial.open("xb") as out:
                for chunk in self.stream(key):
                    digest.update(chunk)
                    size += out.write(chunk)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return ObjectInfo(key, size, digest.hexdigest())


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def valid_key(key: str) -> str:
    """``key`` itself. Raises RequestRejected when it is not a key."""
    if len(key) > MAX_KEY_CHARS or not _KEY.fullmatch(key):
        raise RequestRejected(problem=f"not a key of the object store: {key[:80]!r}")
    return key


def valid_range(start: int, length: int | None) -> None:
    """Raises RequestRejected for a range that starts or ends before the first byte."""
    if start < 0 or (length is not None and length < 0):
        raise RequestRejected(problem=f"not a range of bytes: {start}, {length}")


def verified(chunks: Iterable[bytes], key: str, sha256: str | None) -> Iterator[bytes]:
    """The chunks unchanged. Raises ChecksumMismatch after the last one when they are not those of ``sha256``."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    if sha256 is not None and digest.hexdigest() != sha256:
        raise ChecksumMismatch(name=key, expected=sha256, found=digest.hexdigest())


@contextlib.contextmanager
def disk_full_is_named(path: Path) -> Iterator[None]:
    """Turns "no space left" and "quota exceeded" into DiskFull; every other error passes."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise disk_full(path) from error


def disk_full(path: Path) -> DiskFull:
    """The error for the disk under ``path``. How much more is needed nobody knows: at least what is not there."""
    folder = next(above for above in (path, *path.resolve().parents) if above.is_dir())
    free_mb = shutil.disk_usage(folder).free // 2**20
    return DiskFull(path=str(path), needed_mb=free_mb + 1, free_mb=free_mb)


def open_store(settings: Settings) -> Store:
    """The store the settings name; nothing is called yet. Raises SettingsInvalid, StoreUnavailable."""
    url = urlsplit(settings.store_url)
    if url.scheme == "file" and url.netloc in ("", "localhost") and url.path:
        from archive.store_files import FileStore

        return FileStore(Path(unquote(url.path)))
    bucket = url.path.strip("/")
    if url.scheme == "s3" and url.netloc and re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        from archive.store_s3 import S3Store

        return S3Store(url.netloc, bucket, settings.store)
    raise SettingsInvalid(problem="store.url: neither s3://host:port/bucket nor file:///folder")
