"""A package in the object store: put there, checked to the last byte, and fetched again."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import bagit

from archive.store import Store, disk_full_is_named
from config.errors import AlreadyExists, ChecksumMismatch, NotFound, PackageInvalid, RequestRejected

MANIFEST = "manifest-sha512.txt"
TAGMANIFEST = "tagmanifest-sha512.txt"


@dataclass(frozen=True)
class Difference:
    """``name`` is the path inside the package."""

    kind: Literal["changed", "missing", "added"]
    name: str
    detail: str


def render_manifest(sums: Mapping[str, str]) -> bytes:
    """A BagIt manifest of path to SHA-512, in the order of the paths."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()


def store_package(bag: Path, store: Store, prefix: str) -> str:
    """Upload a bag and return its seal. Raises RequestRejected when it is not a bag.

    The tag manifest goes last and an old one goes first, so that half a package never looks like one; files of
    an earlier attempt that this bag does not have are removed.
    """
    names = sorted(path.relative_to(bag).as_posix() for path in bag.rglob("*") if path.is_file())
    if TAGMANIFEST not in names:
        raise RequestRejected(problem=f"not a sealed bag: it has no {TAGMANIFEST}")
    store.delete(f"{prefix}/{TAGMANIFEST}")
    for name in sorted(set(_names(store, prefix)) - set(names)):
        store.delete(f"{prefix}/{name}")
    names.remove(TAGMANIFEST)
    for name in (*names, TAGMANIFEST):
        store.put_file(f"{prefix}/{name}", bag / name)
    return _sha512((bag / TAGMANIFEST).read_bytes())


def verify_package(store: Store, prefix: str, seal: str | None) -> list[Difference]:
    """Read every byte and name what differs from what was sealed; an empty list means that nothing does.

    Each manifest is judged by the hash above it (seal, then tag manifest, then manifest). One that was damaged
    is made again from the files: where that gives the right hash, the files are sound and it alone is named.
    Without a seal nothing is above the tag manifest, and it is believed.
    """
    found = _sums(store, prefix)
    tags = {name: sha for name, sha in found.items() if not name.startswith("data/") and name != TAGMANIFEST}
    payload = {name: sha for name, sha in found.items() if name.startswith("data/")}
    trusted = seal or found.get(TAGMANIFEST)
    expected = {TAGMANIFEST: trusted or ""}
    expected |= _entries(store, f"{prefix}/{TAGMANIFEST}", trusted, tags)
    expected |= _entries(store, f"{prefix}/{MANIFEST}", expected.get(MANIFEST), payload)
    return list(_compare(expected, found))


def export_package(store: Store, prefix: str, folder: Path, seal: str | None = None) -> None:
    """Fetch a package into the new folder ``folder``, which appears only when bagit calls it valid.

    Raises PackageInvalid naming the first difference, AlreadyExists, DiskFull.
    """
    if folder.exists():
        raise AlreadyExists(what=str(folder))
    differences = verify_package(store, prefix, seal)
    if differences:
        first = f"{differences[0].kind}: {differences[0].name}"
        raise PackageInvalid(case=_case_of(prefix), differences=len(differences), first=first)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name in _names(store, prefix):
            with disk_full_is_named(folder.parent):
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
            store.get_file(f"{prefix}/{name}", partial / name)
        bagit.Bag(str(partial)).validate()
        partial.rename(folder)
    except bagit.BagError as error:
        raise PackageInvalid(case=_case_of(prefix), differences=1, first=str(error)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _case_of(prefix: str) -> str:
    """``packages/<case>/…`` -> the case, as people know it."""
    return prefix.split("/")[1] if "/" in prefix else prefix


def _names(store: Store, prefix: str) -> list[str]:
    return [info.key.removeprefix(f"{prefix}/") for info in store.list(prefix)]


def _sums(store: Store, prefix: str) -> dict[str, str]:
    sums: dict[str, str] = {}
    for name in _names(store, prefix):
        digest = hashlib.sha512()
        with contextlib.suppress(NotFound):
            for chunk in _as_it_is(store, f"{prefix}/{name}"):
                digest.update(chunk)
            sums[name] = digest.hexdigest()
    return sums


def _as_it_is(store: Store, key: str) -> Iterator[bytes]:
    """Every byte, even where the store itself says at their end that they have changed."""
    with contextlib.suppress(ChecksumMismatch):
        yield from store.stream(key)


def _entries(store: Store, key: str, trusted: str | None, found: dict[str, str]) -> dict[str, str]:
    """What a manifest says, or what it must have said before it was damaged, or lost, as far as that shows."""
    try:
        text = b"".join(_as_it_is(store, key))
    except NotFound:
        # With nothing to compare with, the loss of the manifest itself is what there is to say.
        return dict(found)
    if _sha512(text) != trusted and _sha512(render_manifest(found)) == trusted:
        return dict(found)
    lines = (line.split(maxsplit=1) for line in text.decode(errors="replace").splitlines())
    return {line[1]: line[0] for line in lines if len(line) == 2}


def _sha512(data: bytes) -> str:
    return hashlib.sha512(data).hexdigest()


def _compare(expected: dict[str, str], found: dict[str, str]) -> Iterator[Difference]:
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            yield Difference("missing", name, f"sha512 {expected[name][:16]}")
        elif name not in expected:
            yield Difference("added", name, f"sha512 {found[name][:16]}")
        elif found[name] != expected[name].lower():
            yield Difference("changed", name, f"sha512 {expected[name][:16]} -> {found[name][:16]}")
