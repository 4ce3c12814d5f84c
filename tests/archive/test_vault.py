from __future__ import annotations

import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archive.store import ObjectInfo, Store
from archive.store_files import FileStore
from archive.vault import Vault, base_key_path, create_base_key
from config.errors import ChecksumMismatch, ConsentWithdrawn, NotFound, RequestRejected, SettingsInvalid

SECRET = "患者王某，男，身份证 110101".encode() * 50


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "home", FileStore(tmp_path / "store"))


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_what_is_sealed_opens_again_and_lies_nowhere_in_the_clear(tmp_path: Path, store: Store) -> None:
    vault = Vault(tmp_path / "home", store)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(SECRET)
    info = vault.seal_file("C1", source, "vaulted/C1/clip.age")
    vault.seal_bytes("C1", SECRET, "vaulted/C1/signature.age")
    assert store.stat("vaulted/C1/clip.age") == info
    for key in ("vaulted/C1/clip.age", "vaulted/C1/signature.age"):
        assert SECRET[:20] not in store.get_bytes(key)
        vault.open_file("C1", key, target)
        assert target.read_bytes() == vault.open_bytes("C1", key) == SECRET
        target.unlink()
    assert SECRET[:20] not in all_bytes(tmp_path / "home")
    store.delete_prefix("vault/C1")


def test_of_a_withheld_case_nobody_opens_or_adds_anything_but_reads_its_signed_forms(
    tmp_path: Path, store: Store
) -> None:
    vault = Vault(tmp_path / "home", store)
    for case in ("W1", "W2"):
        vault.seal_bytes(case, SECRET, f"recordings/{case}/clip.age")
        vault.seal_bytes(case, SECRET, f"consents/{case}/form.age")
    for _ in range(2):
        vault.withhold("W1")
    other = Vault(tmp_path / "home", store)
    for attempt in (
        lambda: vault.open_bytes("W1", "recordings/W1/clip.age"),
        lambda: other.open_file("W1", "recordings/W1/clip.age", tmp_path / "target"),
        lambda: other.open_bytes("W1", "packages/consents/W1"),
        lambda: vault.seal_bytes("W1", b"more", "recordings/W1/more.age"),
        lambda: other.seal_file("W1", Path(__file__), "recordings/W1/more.age"),
    ):
        with pytest.raises(ConsentWithdrawn):
            attempt()
    assert not (tmp_path / "target").exists() and store.stat("recordings/W1/more.age") is None
    assert other.open_bytes("W1", "consents/W1/form.age") == SECRET
    assert other.open_bytes("W2", "recordings/W2/clip.age") == SECRET
    vault.shred("W1")
    for key in ("recordings/W1/clip.age", "consents/W1/form.age"):
        with pytest.raises(NotFound):
            other.open_bytes("W1", key)
    store.delete_prefix("vault/W2")


def test_after_shredding_every_copy_is_unreadable_for_ever(tmp_path: Path, store: Store) -> None:
    vault = Vault(tmp_path / "home", store)
    vault.seal_bytes("S1", SECRET, "shred/S1")
    vault.seal_bytes("S2", SECRET, "shred/S2")
    copy = store.get_bytes("shred/S1")
    assert not vault.is_shredded("S1")
    vault.shred("S1")
    vault.shred("S1")
    assert vault.is_shredded("S1")
    store.put_bytes("shred/S1-copy", copy)
    for attempt in (
        lambda: vault.open_bytes("S1", "shred/S1"),
        lambda: vault.open_file("S1", "shred/S1-copy", tmp_path / "target"),
        lambda: Vault(tmp_path / "home", store).open_bytes("S1", "shred/S1-copy"),
        lambda: vault.seal_bytes("S1", b"more", "shred/S1-more"),
        lambda: vault.seal_file("S1", Path(__file__), "shred/S1-more"),
    ):
        with pytest.raises(NotFound) as caught:
            attempt()
        assert caught.value.data == {"what": "case identity", "id": "S1"}
    assert not [info for info in store.list("vault/S1") if info.key.endswith(".age")]
    assert store.stat("shred/S1-more") is None
    with pytest.raises(ChecksumMismatch):
        vault.open_bytes("S2", "shred/S1-copy")
    assert vault.open_bytes("S2", "shred/S2") == SECRET
    store.delete_prefix("vault/S1")
    store.delete_prefix("vault/S2")


def test_a_case_that_was_only_shredded_cannot_be_sealed_for(vault: Vault) -> None:
    vault.shred("C1")
    with pytest.raises(NotFound):
        vault.seal_bytes("C1", b"x", "a")


def test_writers_who_start_a_case_together_can_all_be_read(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")

    def work(index: int) -> None:
        Vault(tmp_path / "home", store).seal_bytes("C1", SECRET, f"seg/{index}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
    vault = Vault(tmp_path / "home", store)
    assert all(vault.open_bytes("C1", f"seg/{index}") == SECRET for index in range(16))


def test_a_seal_that_races_with_the_shredder_leaves_no_identity(tmp_path: Path) -> None:
    class ShreddedMeanwhile(FileStore):
        def put_bytes(self, key: str, data: bytes) -> ObjectInfo:
            if "/identity-" in key:
                Vault(tmp_path / "home", FileStore(tmp_path / "store")).shred("C1")
            return super().put_bytes(key, data)

    with pytest.raises(NotFound):
        Vault(tmp_path / "home", ShreddedMeanwhile(tmp_path / "store")).seal_bytes("C1", b"x", "a")
    names = [info.key for info in FileStore(tmp_path / "store").list("")]
    assert names == ["vault/C1/shredded"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_changed_or_shortened_object_opens(vault: Vault, tmp_path: Path, data: st.DataObject) -> None:
    vault.seal_bytes("C1", os.urandom(140_000), "sealed")
    sealed = bytearray(vault._store.get_bytes("sealed"))
    place = int(data.draw(st.floats(0, 1, exclude_max=True)) * len(sealed))
    if data.draw(st.booleans(), label="cut"):
        del sealed[place:]
    else:
        sealed[place] ^= data.draw(st.integers(1, 255))
    vault._store.put_bytes("sealed", bytes(sealed))
    target = tmp_path / "target"
    with pytest.raises(ChecksumMismatch):
        vault.open_file("C1", "sealed", target)
    with pytest.raises(ChecksumMismatch):
        vault.open_bytes("C1", "sealed")
    assert not list(tmp_path.glob("*target*"))


def test_the_base_key_is_private_and_survives_a_second_start(tmp_path: Path) -> None:
    path = create_base_key(tmp_path)
    kept = path.read_text()
    assert path == base_key_path(tmp_path)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert create_base_key(tmp_path).read_text() == kept
    assert [file.name for file in path.parent.iterdir()] == ["base.key"]


def test_processes_that_start_together_agree_on_one_base_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: create_base_key(tmp_path).read_text(), range(32)))
    assert len(set(paths)) == 1


def test_an_opened_original_is_readable_by_nobody_else(vault: Vault, tmp_path: Path) -> None:
    vault.seal_bytes("C1", SECRET, "a")
    vault.open_file("C1", "a", tmp_path / "target")
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o600


def test_a_base_key_others_can_read_is_refused(tmp_path: Path) -> None:
    create_base_key(tmp_path).chmod(0o640)
    with pytest.raises(SettingsInvalid, match="chmod 600"):
        Vault(tmp_path, FileStore(tmp_path / "store"))


@pytest.mark.parametrize("text", ["", "junk", "AGE-SECRET-KEY-1QQQQ", "医"])
def test_a_damaged_base_key_is_refused_without_being_quoted(tmp_path: Path, text: str) -> None:
    create_base_key(tmp_path).write_text(text)
    with pytest.raises(SettingsInvalid) as caught:
        Vault(tmp_path, FileStore(tmp_path / "store"))
    assert not text or text not in str(caught.value)


def test_another_base_key_is_named_as_the_reason(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    Vault(tmp_path / "one", store).seal_bytes("C1", SECRET, "a")
    with pytest.raises(SettingsInvalid, match=r"base\.key"):
        Vault(tmp_path / "two", store).open_bytes("C1", "a")


@pytest.mark.parametrize("case", ["", "a/b", "..", "../x", "a b"])
def test_a_hostile_case_id_is_refused(vault: Vault, case: str) -> None:
    with pytest.raises(RequestRejected):
        vault.seal_bytes(case, b"x", "a")


def test_no_key_is_logged_or_shown(vault: Vault, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    vault.seal_bytes("C1", SECRET, "a")
    vault.open_bytes("C1", "a")
    shown = caplog.text + repr(vault) + str(vars(vault))
    assert "AGE-SECRET-KEY" not in shown.upper()
    assert b"AGE-SECRET-KEY" not in all_bytes(tmp_path / "store")


def test_memory_stays_flat_for_a_large_file(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(100 * 2**20)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from archive.store_files import FileStore; from archive.vault import Vault\n"
        "here = Path(sys.argv[1]); vault = Vault(here / 'home', FileStore(here / 'store'))\n"
        "vault.seal_bytes('C1', b'x', 'warm'); vault.open_file('C1', 'warm', here / 'warm')\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "vault.seal_file('C1', here / 'large', 'large'); vault.open_file('C1', 'large', here / 'back')\n"
        "assert (here / 'back').stat().st_size == 100 * 2**20\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, cwd=Path(__file__).parents[2],
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 30 * 1024, "KiB more than before"
