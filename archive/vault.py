"""The vault: whatever shows the patient is kept only as age ciphertext, and one deletion makes it unreadable.

Each case has an age identity of its own, wrapped (encrypted) to the key of the base and kept in the object store
under ``vault/<case>/``. Objects are sealed to the case's identity. Destroying the wrapped identity leaves every
copy of every object of the case as noise, wherever backups carried it (crypto-shredding); so backups of the
objects must leave ``vault/`` out or share its retention, and ``base.key`` must be kept apart from both.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyrage
from pyrage import x25519

from archive.store import ObjectInfo, Store, disk_full, disk_full_is_named
from config.errors import (
    ChecksumMismatch,
    ConsentWithdrawn,
    NotFound,
    RequestRejected,
    SettingsInvalid,
    StoreUnavailable,
)

SHREDDED = "shredded"
WITHHELD = "withheld"
# Proof that the patient had agreed stays readable while a case is withheld; nothing else does.
FORMS = "consents/"


def base_key_path(home: Path) -> Path:
    return home / "vault" / "base.key"


def create_base_key(home: Path) -> Path:
    """Make ``<home>/vault/base.key`` (mode 0600) unless it is there; an existing key is never replaced.

    Raises DiskFull.
    """
    path = base_key_path(home)
    if path.exists():
        return path
    with disk_full_is_named(home):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f".{secrets.token_hex(8)}")
        try:
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as out:
                out.write(f"{x25519.Identity.generate()}\n")
                out.flush()
                os.fsync(out.fileno())
            # Of processes that start together one links first; the others take its key.
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)
        folder_fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder_fd)
        os.close(folder_fd)
    return path


class Vault:
    """Seals and opens objects of a store, case by case.

    Memory stays flat whatever the size; only ciphertext is written beside the target while it works. Every call
    may raise StoreUnavailable, DiskFull, and SettingsInvalid when ``base.key`` is not the key (any more).
    """

    def __init__(self, home: Path, store: Store) -> None:
        self._folder = base_key_path(home).parent
        self._store = store
        self._base = _read_base_key(create_base_key(home))

    def seal_file(self, case: str, source: Path, key: str) -> ObjectInfo:
        """Keep ``source`` sealed under ``key``. The size and checksum returned are those of the ciphertext.

        Raises NotFound for a case whose identity was destroyed, ConsentWithdrawn for one that is withheld.
        """
        recipient = self._recipient(case)
        with self._workspace() as folder:
            try:
                pyrage.encrypt_file(str(source), str(folder / "sealed"), [recipient])
            except pyrage.EncryptError as error:
                # The library keeps the system's error number only in its text.
                if f"os error {errno.ENOSPC}" not in str(error):
                    raise StoreUnavailable(store=str(self._folder), detail="cannot encrypt") from error
                raise disk_full(self._folder) from error
            return self._store.put_file(key, folder / "sealed")

    @property
    def recipient(self) -> str:
        """What stations seal to: the public half of the base's key."""
        return str(self._base.to_public())

    def take_over(self, case: str, arrived: Path, key: str, sha256: str) -> int:
        """Keep what a station sealed to the base, sealed to the case instead; the size of the plain bytes.

        The plain bytes pass through a pipe and never lie on a disk. Raises ChecksumMismatch, keeping nothing, when
        ``arrived`` was not sealed for this base or what comes out of it is not what ``sha256`` says; NotFound for a case whose
        identity was destroyed.
        """
        recipient = self._recipient(case)
        with self._workspace() as folder:
            passed = _reseal(arrived, folder / "sealed", self._base, recipient)
            if passed.hexdigest != sha256:
                raise ChecksumMismatch(
                    name=key, expected=sha256, found=passed.hexdigest or "not for this base"
                )
            self._store.put_file(key, folder / "sealed")
            return passed.size

    def seal_bytes(self, case: str, data: bytes, key: str) -> ObjectInfo:
        """As :meth:`seal_file`, for something small."""
        return self._store.put_bytes(key, pyrage.encrypt(data, [self._recipient(case)]))

    def open_file(self, case: str, key: str, target: Path) -> None:
        """Write the plain bytes to ``target``, which appears only once all of them proved genuine.

        Raises NotFound for an absent object and for a case whose identity was destroyed, ChecksumMismatch for
        an object that was changed, cut short or sealed for another case, ConsentWithdrawn for anything but the
        signed forms of a case that is withheld.
        """
        identities = self._identities(case, key)
        plain = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}")
        try:
            with self._workspace() as folder, disk_full_is_named(target):
                self._store.get_file(key, folder / "sealed")
                with (folder / "sealed").open("rb") as sealed, _private(plain) as out, _genuine(key):
                    pyrage.decrypt_io(sealed, out, identities)
            plain.replace(target)
        finally:
            plain.unlink(missing_ok=True)

    def open_bytes(self, case: str, key: str) -> bytes:
        """As :meth:`open_file`, for something small."""
        identities = self._identities(case, key)
        sealed = self._store.get_bytes(key)
        with _genuine(key):
            return bytes(pyrage.decrypt(sealed, identities))

    def withhold(self, case: str) -> None:
        """Seal a case off: from now on no process opens or adds anything of it, but for reading the signed forms.

        There is no way back but :meth:`shred`. Repeating it is harmless.
        """
        self._store.put_bytes(f"{_folder_of(case)}/{WITHHELD}", b"")

    def shred(self, case: str) -> None:
        """Destroy the identity of a case for ever; nothing can be sealed for it again. Repeating it is harmless."""
        # The mark comes first, so that a writer beside us either sees it or has its new identity removed here.
        self._store.put_bytes(f"{_folder_of(case)}/{SHREDDED}", b"")
        for name in self._held(case):
            if name != SHREDDED:
                self._store.delete(f"{_folder_of(case)}/{name}")

    def is_shredded(self, case: str) -> bool:
        return self._store.stat(f"{_folder_of(case)}/{SHREDDED}") is not None

    def _recipient(self, case: str) -> x25519.Recipient:
        held = self._held(case)
        if SHREDDED in held:
            raise NotFound(what="case identity", id=case)
        if WITHHELD in held:
            raise ConsentWithdrawn(consultation=case, purpose="record")
        if not held:
            self._add_identity(case)
        return self._identities(case)[0].to_public()

    def _add_identity(self, case: str) -> None:
        """Give a case an identity. Two writers may each add one: then both are kept and both open.

        A store has no "put if absent", so one agreed name would let the later writer destroy the earlier key.
        """
        key = f"{_folder_of(case)}/identity-{secrets.token_hex(8)}.age"
        wrapped = pyrage.encrypt(str(x25519.Identity.generate()).encode(), [self._base.to_public()])
        self._store.put_bytes(key, wrapped)
        if self.is_shredded(case):
            self._store.delete(key)
            raise NotFound(what="case identity", id=case)

    def _held(self, case: str) -> list[str]:
        """Names in the case's folder: its wrapped identities, and the marks once it is withheld or they are destroyed."""
        folder = _folder_of(case)
        return [info.key.removeprefix(f"{folder}/") for info in self._store.list(folder)]

    def _identities(self, case: str, key: str = "") -> list[x25519.Identity]:
        """The identities of a case, for opening ``key``."""
        held = self._held(case)
        names = [name for name in held if name != WITHHELD]
        if SHREDDED in held or not names:
            raise NotFound(what="case identity", id=case)
        if WITHHELD in held and not key.startswith(FORMS):
            raise ConsentWithdrawn(consultation=case, purpose="record")
        return [self._unwrap(f"{_folder_of(case)}/{name}") for name in names]

    def _unwrap(self, key: str) -> x25519.Identity:
        try:
            return x25519.Identity.from_str(pyrage.decrypt(self._store.get_bytes(key), [self._base]).decode())
        except pyrage.DecryptError as error:
            raise SettingsInvalid(problem=f"vault/base.key is not the key that wrapped {key}") from error

    @contextlib.contextmanager
    def _workspace(self) -> Iterator[Path]:
        with (
            disk_full_is_named(self._folder),
            tempfile.TemporaryDirectory(prefix="sealed-", dir=self._folder) as folder,
        ):
            yield Path(folder)


class _Passed:
    """The plain bytes on their way from one seal to the other: counted, hashed and handed on."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._digest = hashlib.sha256()
        self.size = 0
        self.genuine = False

    @property
    def hexdigest(self) -> str:
        """Empty when they did not prove genuine to the last."""
        return self._digest.hexdigest() if self.genuine else ""

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.size += len(data)
        return self._out.write(data)

    def flush(self) -> None:
        self._out.flush()


def _reseal(source: Path, target: Path, identity: x25519.Identity, recipient: x25519.Recipient) -> _Passed:
    read_fd, write_fd = os.pipe()
    with os.fdopen(write_fd, "wb") as into, source.open("rb") as sealed:
        passed = _Passed(into)

        def unseal() -> None:
            with into:
                try:
                    pyrage.decrypt_io(sealed, passed, [identity])
                    passed.genuine = True
                except (pyrage.DecryptError, OSError):
                    # Damaged, for another base, or nobody reads any more: it is not genuine, and whoever asked hears it.
                    return

        reader = threading.Thread(target=unseal, name="unseal")
        with os.fdopen(read_fd, "rb") as outof, target.open("wb") as out:
            reader.start()
            try:
                pyrage.encrypt_io(outof, out, [recipient])
            finally:
                outof.close()
                reader.join()
    return passed


def _folder_of(case: str) -> str:
    if "/" in case:
        raise RequestRejected(problem=f"not the id of a case: {case[:80]!r}")
    return f"vault/{case}"


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


@contextlib.contextmanager
def _genuine(key: str) -> Iterator[None]:
    """Turns a failed decryption into ChecksumMismatch."""
    try:
        yield
    except pyrage.DecryptError as error:
        raise ChecksumMismatch(name=key, expected="sealed for this case", found="damaged") from error
    except OSError as error:
        # The library reports a damaged body as an OSError without a number, a full disk with one.
        if error.errno is not None:
            raise
        raise ChecksumMismatch(name=key, expected="sealed for this case", found="damaged") from error


def _read_base_key(path: Path) -> x25519.Identity:
    if path.stat().st_mode & 0o077:
        raise SettingsInvalid(problem=f"{path} can be read by others; chmod 600 it")
    try:
        return x25519.Identity.from_str(path.read_text("ascii").strip())
    except (pyrage.IdentityError, ValueError):
        # "from None": the library's message may quote the key.
        raise SettingsInvalid(problem=f"{path} is not an age identity") from None
