"""The object store in a folder: every object is a plain file that any tool can read and any backup can carry."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from archive.store import (
    CHUNK_BYTES,
    ObjectInfo,
    Store,
    disk_full_is_named,
    valid_key,
    valid_range,
    verified,
)
from config.errors import NotFound, RequestRejected, StoreUnavailable

INCOMING = ".incoming"
ABANDONED_S = 24 * 3600.0
# Kept on the file itself, so that content and checksum change in one rename and a copied file stays readable.
SHA256_ATTRIBUTE = "user.yian.sha256"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class FileStore(Store):
    """Objects under ``root``; links are never followed, so nothing outside it is read or written.

    The root is made here once and never again: a disk that is unmounted later is StoreUnavailable, not an
    empty store on the disk below it. On a file system without extended attributes no checksum is kept.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        with self._translated():
            (root / INCOMING).mkdir(parents=True, exist_ok=True, mode=0o700)
            _sweep(root / INCOMING)

    def put_file(self, key: str, path: Path) -> ObjectInfo:
        with path.open("rb") as source:
            return self._put(key, iter(lambda: source.read(CHUNK_BYTES), b""))

    def put_bytes(self, key: str, data: bytes) -> ObjectInfo:
        return self._put(key, [data])

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        valid_range(start, length)
        with self._opened(key) as (fd, _):
            if start == 0 and length is None:
                yield from verified(_read(fd, None), key, _kept_sha256(fd))
            else:
                os.lseek(fd, start, os.SEEK_SET)
                yield from _read(fd, length)

    def stat(self, key: str) -> ObjectInfo | None:
        try:
            with self._opened(key) as (fd, size):
                return ObjectInfo(key, size, _kept_sha256(fd))
        except NotFound:
            return None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder = valid_key(prefix) if prefix else ""
        found: list[ObjectInfo] = []
        with self._translated():
            self._root.joinpath(INCOMING).stat()
            with contextlib.suppress(FileNotFoundError, NotADirectoryError), self._folder(folder) as fd:
                found = [
                    ObjectInfo(f"{prefix}/{name}".lstrip("/"), size) for name, size in _regular_files(fd)
                ]
        yield from sorted(found, key=lambda info: info.key)

    def delete(self, key: str) -> None:
        folder, name = valid_key(key).rpartition("/")[::2]
        with self._translated(), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            with self._folder(folder) as folder_fd:
                os.unlink(name, dir_fd=folder_fd)
                os.fsync(folder_fd)
            self._prune(folder)

    def delete_prefix(self, prefix: str) -> int:
        keys = [info.key for info in self.list(valid_key(prefix))]
        for key in keys:
            self.delete(key)
        return len(keys)

    def check(self) -> None:
        key = f"check-{secrets.token_hex(4)}"
        self.put_bytes(key, b"yian")
        self.get_bytes(key)
        self.delete(key)

    def _put(self, key: str, chunks: Iterable[bytes]) -> ObjectInfo:
        folder, name = valid_key(key).rpartition("/")[::2]
        incoming = self._root / INCOMING / secrets.token_hex(8)
        digest, size = hashlib.sha256(), 0
        with self._translated(), disk_full_is_named(self._root):
            try:
                with incoming.open("xb") as out:
                    for chunk in chunks:
                        digest.update(chunk)
                        size += out.write(chunk)
                    out.flush()
                    _keep_sha256(out.fileno(), digest.hexdigest())
                    os.fsync(out.fileno())
                self._move_in(incoming, folder, name)
            finally:
                incoming.unlink(missing_ok=True)
        return ObjectInfo(key, size, digest.hexdigest())

    def _move_in(self, incoming: Path, folder: str, name: str) -> None:
        while True:
            try:
                with self._folder(folder, create=True) as folder_fd:
                    os.replace(incoming, name, dst_dir_fd=folder_fd)
                    os.fsync(folder_fd)
                return
            except FileNotFoundError:
                # A deletion beside us removed the folder while it was empty; a lost root ends the loop.
                incoming.stat()
            except (IsADirectoryError, NotADirectoryError) as error:
                raise RequestRejected(problem=f"key {name!r}: an object or link is in its way") from error

    @contextlib.contextmanager
    def _opened(self, key: str) -> Iterator[tuple[int, int]]:
        """Descriptor and size of an object."""
        folder, name = valid_key(key).rpartition("/")[::2]
        with self._translated():
            try:
                with self._folder(folder) as folder_fd:
                    fd = os.open(name, _FILE, dir_fd=folder_fd)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    raise
                self._root.joinpath(INCOMING).stat()
                raise NotFound(what="object", id=key) from error
            try:
                status = os.fstat(fd)
                if not stat.S_ISREG(status.st_mode):
                    raise NotFound(what="object", id=key)
                yield fd, status.st_size
            finally:
                os.close(fd)

    @contextlib.contextmanager
    def _folder(self, folder: str, create: bool = False) -> Iterator[int]:
        """A descriptor of ``folder``, walked to part by part so that no part may be a link."""
        fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in folder.split("/") if folder else ():
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, mode=0o700, dir_fd=fd)
                        os.fsync(fd)
                inner = os.open(part, _FOLDER, dir_fd=fd)
                os.close(fd)
                fd = inner
            yield fd
        finally:
            os.close(fd)

    def _prune(self, folder: str) -> None:
        """Remove folders that a deletion left empty; a folder still in use refuses to go."""
        parts = folder.split("/") if folder else []
        with contextlib.suppress(OSError):
            while parts:
                self._root.joinpath(*parts).rmdir()
                parts.pop()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(store=str(self._root), detail=os.strerror(error.errno or 0)) from error


def _sweep(incoming: Path) -> None:
    """Remove what processes that died in the middle of a write left behind."""
    for path in incoming.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > ABANDONED_S:
                path.unlink()


def _read(fd: int, length: int | None) -> Iterator[bytes]:
    while length is None or length > 0:
        chunk = os.read(fd, CHUNK_BYTES if length is None else min(CHUNK_BYTES, length))
        if not chunk:
            return
        length = None if length is None else length - len(chunk)
        yield chunk


def _regular_files(folder_fd: int) -> Iterator[tuple[str, int]]:
    """Names relative to the folder, and sizes, of the objects below it."""
    for folder, folders, names, fd in os.fwalk(".", dir_fd=folder_fd):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and not name.startswith("."):
                    yield os.path.normpath(os.path.join(folder, name)), status.st_size


def _keep_sha256(fd: int, sha256: str) -> None:
    try:
        os.setxattr(fd, SHA256_ATTRIBUTE, sha256.encode())
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise


def _kept_sha256(fd: int) -> str | None:
    try:
        return os.getxattr(fd, SHA256_ATTRIBUTE).decode()
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise
        return None
