"""What finished steps left behind: sealed into the store, opened again for the steps that need it.

Results lie under ``work/<case>/<scope>/<step>/`` and count only once ``manifest.json`` is there, so a step that
was interrupted anywhere leaves nothing behind that the next worker would mistake for a result.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from archive.fixity import store_package
from archive.models import Case
from archive.store import Store
from archive.vault import Vault
from config.errors import NotFound, YianError
from processing.plan import STEP_BY_NAME, Step


def scope(case: Case, step: Step) -> str:
    """What a result is kept under: those that edits can change are kept once per edit."""
    return f"edit-{case.edit}" if step.edited else "base"


class Results:
    """Results of steps for one worker, which keeps its own copies of them under ``root`` while it needs them."""

    def __init__(self, store: Store, vault: Vault, root: Path) -> None:
        self._store = store
        self._vault = vault
        self._root = root
        # Branches that run side by side may want the same results at the same moment.
        self._fetching = threading.Lock()

    def folder(self, case: Case) -> Path:
        """This worker's private folder for a case."""
        return self._root / case.id

    def manifest(self, case: Case, name: str) -> dict[str, Any] | None:
        """``files`` and ``result`` of a finished step; None for one that is not finished."""
        try:
            raw = self._vault.open_bytes(case.id, f"{_prefix(case, name)}/manifest.json.age")
        except NotFound:
            return None
        return dict(json.loads(raw))

    def told(self, case: Case, name: str) -> dict[str, Any]:
        """What a finished step told about itself; nothing for one that is not finished."""
        manifest = self.manifest(case, name)
        return {} if manifest is None else dict(manifest["result"])

    def read(self, case: Case, name: str, file: str) -> bytes:
        """One small file of a finished step's results. Raises NotFound."""
        manifest = self.manifest(case, name)
        if manifest is None or file not in manifest["files"]:
            raise NotFound(what="file", id=file)
        index = manifest["files"].index(file)
        return self._vault.open_bytes(case.id, f"{_prefix(case, name)}/{index:05d}.age")

    def keep(self, case: Case, name: str, work: Path, told: dict[str, Any]) -> None:
        """Seal every file under ``work/out`` into the store; the manifest, last, is what makes them count."""
        out = work / "out"
        files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
        self._seal(case, name, {file: out / file for file in files}, told)
        done = self._done(case, name)
        shutil.rmtree(done, ignore_errors=True)
        done.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        out.rename(done)
        shutil.rmtree(work)

    def keep_package(self, case: Case, work: Path, told: dict[str, Any], check: Callable[[], object]) -> None:
        """Store the package that lies in ``work/out``; those of earlier edits go, for they may show what was rejected.

        ``check`` is asked once more when it is stored, which can take minutes; when it raises, the package goes.
        """
        prefix = f"packages/{case.id}/edit-{case.edit}"
        seal = store_package(work / "out" / "bag", self._store, prefix)
        try:
            check()
        except YianError:
            self._store.delete_prefix(prefix)
            raise
        for edit in range(case.edit):
            self._store.delete_prefix(f"packages/{case.id}/edit-{edit}")
        self._seal(case, "package", {}, {**told, "seal": seal, "prefix": prefix})
        shutil.rmtree(work)

    def fetch(self, case: Case, name: str) -> Path:
        """The folder of an earlier step's results: what this worker made itself, or opened from the store.

        Raises NotFound for a step that is not finished.
        """
        with self._fetching:
            done = self._done(case, name)
            return done if done.is_dir() else self._open(case, name, done)

    def _open(self, case: Case, name: str, done: Path) -> Path:
        manifest = self.manifest(case, name)
        if manifest is None:
            raise NotFound(what="step result", id=f"{case.id}/{name}")
        coming = done.with_name(f".{name}.coming")
        shutil.rmtree(coming, ignore_errors=True)
        coming.mkdir(parents=True, mode=0o700)
        for index, file in enumerate(manifest["files"]):
            target = coming / file
            target.parent.mkdir(parents=True, exist_ok=True)
            self._vault.open_file(case.id, f"{_prefix(case, name)}/{index:05d}.age", target)
        coming.rename(done)
        return done

    def _seal(self, case: Case, name: str, files: dict[str, Path], told: dict[str, Any]) -> None:
        prefix = _prefix(case, name)
        for index, path in enumerate(files.values()):
            self._vault.seal_file(case.id, path, f"{prefix}/{index:05d}.age")
        manifest = {"files": list(files), "result": told}
        self._vault.seal_bytes(case.id, json.dumps(manifest).encode(), f"{prefix}/manifest.json.age")

    def _done(self, case: Case, name: str) -> Path:
        return self.folder(case) / scope(case, STEP_BY_NAME[name]) / name


def _prefix(case: Case, name: str) -> str:
    return f"work/{case.id}/{scope(case, STEP_BY_NAME[name])}/{name}"
