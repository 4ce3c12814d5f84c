from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
import json
import os
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bagit
import pytest
from fhir.resources.R4B.consent import Consent
from hypothesis import given, settings
from hypothesis import strategies as st
from rocrate.rocrate import ROCrate

from archive.fhir import fhir_consent
from archive.fixity import (
    MANIFEST,
    TAGMANIFEST,
    Difference,
    export_package,
    store_package,
    verify_package,
)
from archive.package import PROFILE, ConsentFacts, PackageFacts, build_package
from archive.store import ObjectInfo, Store
from archive.store_files import FileStore
from archive.store_s3 import S3Store
from config.errors import (
    AlreadyExists,
    ConsentFormRejected,
    PackageInvalid,
    RequestRejected,
    StoreUnavailable,
)
from config.settings import StoreSettings

TEXT = "本人同意录制本次就诊，用于带教与存档。\n知情同意书第一版"
SOURCE = {
    "media/video.mp4": os.urandom(5000),
    "media/poster.jpg": b"\xff\xd8\xff",
    "media/captions.vtt": "WEBVTT\n\n00:00.000 --> 00:01.000\n<v 带教专家>请伸舌\n".encode(),
    "media/hls/master.m3u8": b"#EXTM3U\n",
    "media/hls/720/seg-0.m4s": b"segment",
    "transcript/transcript.json": b"{}",
    "transcript/transcript.vtt": b"WEBVTT\n",
    "transcript/turns.rttm": b"",
    "transcript/transcript.txt": "请伸舌\n".encode(),
    "reports/verification.json": b'{"verdict": "pass"}',
    "reports/light.json": b"null",
    "reports/processing.json": b"{}",
}
TAG_FILES = ["bag-info.txt", "bagit-profile.json", "bagit.txt", MANIFEST, TAGMANIFEST]
ADDED_BY_US = ["consent/consent.fhir.json", "ro-crate-metadata.json"]
EVERY_FILE = sorted(TAG_FILES + [f"data/{name}" for name in [*SOURCE, *ADDED_BY_US]])

CONSENT = ConsentFacts(
    id="0190cafe-0001",
    purposes=("record", "archive", "teach_on_site"),
    text=TEXT,
    text_sha256=hashlib.sha256(TEXT.encode()).hexdigest(),
    signer_pseudonym="P-7f3a",
    signed_at=dt.datetime(2026, 3, 1, 9, 0, 0, 123456, dt.UTC),
    expires_at=dt.datetime(2029, 3, 1, 9, 0, tzinfo=dt.UTC),
    signature_sha256="ab" * 32,
    witness_pseudonym="U-0042",
)
FACTS = PackageFacts(
    case="BJ01-0001",
    title="心悸\n一例",
    kind="consultation",
    base_code="BJ01",
    base_name="示范基地",
    expert_name="李专家",
    patient_pseudonym="P-7f3a",
    recorded_at=dt.datetime(2026, 3, 1, 17, 30, tzinfo=dt.timezone(dt.timedelta(hours=8))),
    packaged_at=dt.datetime(2026, 3, 2, 1, 2, 3, tzinfo=dt.UTC),
    language="zh",
    rights="仅限本基地教学使用，未经书面许可不得外传。",
    consent=CONSENT,
)


def write_source(folder: Path, names: list[str] | None = None) -> Path:
    for name in names or SOURCE:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(SOURCE.get(name, b""))
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    build_package(write_source(folder / "source"), folder / "bag", FACTS)
    return folder / "bag"


@pytest.fixture(scope="module")
def stored(bag: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FileStore, str]:
    """A store with the package at ``p``, and its seal; whoever damages it repairs it."""
    store = FileStore(tmp_path_factory.mktemp("stored"))
    return store, store_package(bag, store, "p")


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


class TestBag:
    def test_the_bag_holds_the_source_the_consent_and_its_description(self, bag: Path) -> None:
        found = files_of(bag)
        assert sorted(found) == EVERY_FILE
        assert all(found[f"data/{name}"] == data for name, data in SOURCE.items())
        assert bagit.Bag(str(bag)).validate()

    def test_the_figures_returned_are_those_of_the_bag(self, bag: Path, tmp_path: Path) -> None:
        info = build_package(write_source(tmp_path / "source"), tmp_path / "bag", FACTS)
        payload = [data for name, data in files_of(bag).items() if name.startswith("data/")]
        assert (info.files, info.size_bytes) == (len(payload), sum(map(len, payload)))
        assert info.seal == hashlib.sha512((bag / TAGMANIFEST).read_bytes()).hexdigest()

    def test_bag_info_says_whose_and_what_and_keeps_the_profile(self, bag: Path) -> None:
        info, profile = bagit.Bag(str(bag)).info, json.loads(PROFILE.read_text())
        assert info["External-Identifier"] == "BJ01-0001"
        assert info["Source-Organization"] == "示范基地 (BJ01)"
        assert info["External-Description"] == "心悸 一例"
        assert info["Bagging-Date"] == "2026-03-02"
        for tag, rule in profile["Bag-Info"].items():
            assert isinstance(info.pop(tag), str), tag
            assert "values" not in rule or bagit.Bag(str(bag)).info[tag] in rule["values"]
        assert info == {}
        assert ".".join(map(str, bagit.Bag(str(bag)).version_info)) in profile["Accept-BagIt-Version"]
        payload = [name for name in EVERY_FILE if name.startswith("data/")]
        assert set(profile["Payload-Files-Required"]) <= set(payload)
        assert all(any(fnmatch(name, rule) for rule in profile["Payload-Files-Allowed"]) for name in payload)

    def test_the_same_inputs_give_the_same_bytes(self, bag: Path, tmp_path: Path) -> None:
        beijing = dt.timezone(dt.timedelta(hours=8))
        facts = dataclasses.replace(FACTS, packaged_at=FACTS.packaged_at.astimezone(beijing))
        build_package(write_source(tmp_path / "source", sorted(SOURCE, reverse=True)), tmp_path / "b", facts)
        assert files_of(tmp_path / "b") == files_of(bag)

    def test_a_second_run_replaces_the_first_and_what_a_dead_one_left(
        self, bag: Path, tmp_path: Path
    ) -> None:
        source = write_source(tmp_path / "source")
        (tmp_path / ".again.partial" / "data" / "media").mkdir(parents=True)
        (tmp_path / ".again.partial" / "data" / "media" / "video.mp4").write_bytes(b"half")
        for _ in range(2):
            build_package(source, tmp_path / "again", FACTS)
        assert files_of(tmp_path / "again") == files_of(bag)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "source"]

    def test_later_changes_of_the_source_leave_the_bag_alone(self, tmp_path: Path) -> None:
        source = write_source(tmp_path / "source")
        build_package(source, tmp_path / "bag", FACTS)
        with (source / "media/video.mp4").open("r+b") as file:
            file.write(b"changed")
        assert bagit.Bag(str(tmp_path / "bag")).validate()

    @pytest.mark.parametrize(
        "name", ["media/video.mp4", "transcript/transcript.json", "reports/verification.json"]
    )
    def test_a_source_without_what_a_case_needs_is_refused(self, tmp_path: Path, name: str) -> None:
        source = write_source(tmp_path / "source")
        (source / name).unlink()
        with pytest.raises(RequestRejected, match=name):
            build_package(source, tmp_path / "bag", FACTS)
        assert not (tmp_path / "bag").exists()

    @pytest.mark.parametrize(
        "name", ["signature.png", "consent/signature.png", "media/患者.mp4", "media/.hidden"]
    )
    def test_a_file_that_does_not_belong_is_refused(self, tmp_path: Path, name: str) -> None:
        source = write_source(tmp_path / "source", [*SOURCE, name])
        with pytest.raises(RequestRejected):
            build_package(source, tmp_path / "bag", FACTS)

    def test_a_link_in_the_source_is_refused(self, tmp_path: Path) -> None:
        source = write_source(tmp_path / "source")
        (source / "media/more.mp4").symlink_to("/etc/hostname")
        with pytest.raises(RequestRejected):
            build_package(source, tmp_path / "bag", FACTS)

    def test_a_time_without_a_zone_is_refused(self, tmp_path: Path) -> None:
        facts = dataclasses.replace(FACTS, packaged_at=dt.datetime(2026, 3, 2))
        with pytest.raises(RequestRejected):
            build_package(write_source(tmp_path / "source"), tmp_path / "bag", facts)
        assert [path.name for path in tmp_path.iterdir()] == ["source"]


class TestCrate:
    def test_the_crate_reads_back_with_every_file_and_its_format(self, bag: Path) -> None:
        crate = ROCrate(bag / "data")
        root = crate.root_dataset
        assert crate.metadata.version == "1.2"
        assert root["name"] == "心悸\n一例"
        assert root["identifier"] == "BJ01-0001"
        assert root["datePublished"] == "2026-03-02T01:02:03Z"
        assert root["dateCreated"] == "2026-03-01T09:30:00Z"
        assert root["author"]["name"] == "李专家"
        assert root["license"]["description"] == FACTS.rights
        formats = {entity.id: entity["encodingFormat"] for entity in crate.data_entities}
        assert sorted(formats) == sorted([*SOURCE, "consent/consent.fhir.json"])
        assert formats["consent/consent.fhir.json"] == "application/fhir+json"
        assert formats["media/hls/720/seg-0.m4s"] == "video/iso.segment"
        assert formats["transcript/turns.rttm"] == "text/plain"
        assert {crate.get("media/video.mp4")["contentSize"]} == {"5000"}


class TestConsent:
    def test_the_consent_is_valid_fhir(self, bag: Path) -> None:
        read = json.loads((bag / "data/consent/consent.fhir.json").read_text())
        consent = Consent.model_validate(read)
        assert read == fhir_consent(FACTS)
        assert consent.status == "active"
        assert consent.dateTime == CONSENT.signed_at

    def test_every_purpose_has_a_rule_of_its_own(self) -> None:
        rules = fhir_consent(FACTS)["provision"]["provision"]
        by_purpose = {rule["purpose"][0]["code"]: rule["type"] for rule in rules}
        assert by_purpose == {
            "record": "permit",
            "teach_on_site": "permit",
            "live_remote": "deny",
            "archive": "permit",
            "third_party_production": "deny",
            "research": "deny",
        }

    def test_the_text_is_there_to_the_letter_with_its_hashes(self) -> None:
        source = fhir_consent(FACTS)["sourceAttachment"]
        assert base64.b64decode(source["data"]).decode() == TEXT
        assert base64.b64decode(source["hash"]) == hashlib.sha1(TEXT.encode()).digest()
        assert source["extension"][0]["valueString"] == CONSENT.text_sha256
        assert source["size"] == len(TEXT.encode())

    def test_a_form_without_a_witness_is_valid_too(self) -> None:
        consent = dataclasses.replace(CONSENT, witness_pseudonym=None)
        Consent.model_validate(fhir_consent(dataclasses.replace(FACTS, consent=consent)))

    @pytest.mark.parametrize(
        "change",
        [
            {"text": "另一份文本"},
            {"purposes": ()},
            {"purposes": ("record", "sell")},
            {"expires_at": CONSENT.signed_at},
        ],
    )
    def test_facts_that_contradict_themselves_are_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(ConsentFormRejected):
            dataclasses.replace(CONSENT, **change)


def flip(store: Store, key: str, place: float = 0.5, bit: int = 0) -> None:
    data = bytearray(store.get_bytes(key)) or bytearray(b"\0")
    data[int(place * len(data))] ^= 1 << bit
    store.put_bytes(key, bytes(data))


def assert_damage_is_named(store: Store, seal: str, name: str) -> None:
    """Flip a byte of one file of the package at ``p``, remove the file, and put it back."""
    key = f"p/{name}"
    kept = store.get_bytes(key)
    flip(store, key)
    changed = verify_package(store, "p", seal)
    store.delete(key)
    missing = verify_package(store, "p", seal)
    store.put_bytes(key, kept)
    assert [(found.kind, found.name) for found in changed] == [("changed", name)]
    assert [(found.kind, found.name) for found in missing] == [("missing", name)]


class TestFixity:
    def test_a_stored_package_verifies_and_comes_back_the_same(
        self, bag: Path, store: Store, tmp_path: Path
    ) -> None:
        seal = store_package(bag, store, "packages/whole")
        assert verify_package(store, "packages/whole", seal) == []
        assert verify_package(store, "packages/whole", None) == []
        export_package(store, "packages/whole", tmp_path / "out", seal)
        assert files_of(tmp_path / "out") == files_of(bag)
        assert bagit.Bag(str(tmp_path / "out")).validate()

    @pytest.mark.parametrize("name", EVERY_FILE)
    def test_a_changed_and_a_lost_file_are_named_exactly(
        self, stored: tuple[FileStore, str], name: str
    ) -> None:
        assert_damage_is_named(*stored, name)

    def test_the_same_holds_on_a_server(self, bag: Path, s3_settings: StoreSettings) -> None:
        url = urlsplit(s3_settings.url)
        store = S3Store(url.netloc, url.path.strip("/"), s3_settings)
        seal = store_package(bag, store, "p")
        for name in ("data/media/video.mp4", MANIFEST, TAGMANIFEST):
            assert_damage_is_named(store, seal, name)

    @settings(max_examples=60, deadline=None)
    @given(name=st.sampled_from(EVERY_FILE), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
    def test_any_flipped_bit_anywhere_is_named_exactly(
        self, stored: tuple[FileStore, str], name: str, place: float, bit: int
    ) -> None:
        files, seal = stored
        kept = files.get_bytes(f"p/{name}")
        flip(files, f"p/{name}", place, bit)
        found = verify_package(files, "p", seal)
        files.put_bytes(f"p/{name}", kept)
        assert [(difference.kind, difference.name) for difference in found] == [("changed", name)]

    @pytest.mark.parametrize(
        "name", ["data/media/extra.mp4", "data/x", "fetch.txt", "note.txt", "manifest-md5.txt"]
    )
    def test_an_added_file_is_named(self, bag: Path, files: FileStore, name: str) -> None:
        seal = store_package(bag, files, "p")
        files.put_bytes(f"p/{name}", b"more")
        found = verify_package(files, "p", seal)
        assert [(difference.kind, difference.name) for difference in found] == [("added", name)]

    def test_bits_that_rot_on_the_disk_itself_are_named(self, bag: Path, tmp_path: Path) -> None:
        files = FileStore(tmp_path)
        seal = store_package(bag, files, "p")
        with (tmp_path / "p/data/media/video.mp4").open("r+b") as file:
            file.write(b"\0rot")
        found = verify_package(files, "p", seal)
        assert [(found.kind, found.name) for found in found] == [("changed", "data/media/video.mp4")]

    def test_several_differences_are_all_named(self, bag: Path, files: FileStore) -> None:
        seal = store_package(bag, files, "p")
        flip(files, "p/data/media/video.mp4")
        flip(files, "p/bag-info.txt")
        files.delete("p/data/media/poster.jpg")
        files.put_bytes("p/data/extra", b"")
        assert [(found.kind, found.name) for found in verify_package(files, "p", seal)] == [
            ("changed", "bag-info.txt"),
            ("added", "data/extra"),
            ("missing", "data/media/poster.jpg"),
            ("changed", "data/media/video.mp4"),
        ]

    def test_a_package_made_anew_with_matching_manifests_does_not_fit_the_old_seal(
        self, bag: Path, files: FileStore, tmp_path: Path
    ) -> None:
        seal = store_package(bag, files, "p")
        source = write_source(tmp_path / "source")
        (source / "media/video.mp4").write_bytes(b"forged")
        build_package(source, tmp_path / "forged", FACTS)
        store_package(tmp_path / "forged", files, "p")
        assert verify_package(files, "p", None) == []
        assert {found.name for found in verify_package(files, "p", seal)} == {TAGMANIFEST}

    def test_nothing_at_all_is_a_missing_package(self, files: FileStore) -> None:
        assert [(found.kind, found.name) for found in verify_package(files, "p", "ab" * 64)] == [
            ("missing", TAGMANIFEST)
        ]

    def test_storing_again_removes_what_an_earlier_attempt_left(self, bag: Path, files: FileStore) -> None:
        files.put_bytes("p/data/media/old.mp4", b"old")
        seal = store_package(bag, files, "p")
        assert store_package(bag, files, "p") == seal
        assert verify_package(files, "p", seal) == []

    def test_a_package_is_not_one_before_its_last_file(self, bag: Path, tmp_path: Path) -> None:
        class Failing(FileStore):
            def put_file(self, key: str, path: Path) -> ObjectInfo:
                if key.endswith(MANIFEST):
                    raise StoreUnavailable(store="test", detail="gone")
                return super().put_file(key, path)

        store = Failing(tmp_path)
        FileStore(tmp_path).put_bytes(f"p/{TAGMANIFEST}", b"of an earlier version")
        with pytest.raises(StoreUnavailable):
            store_package(bag, store, "p")
        assert Difference("missing", TAGMANIFEST, "sha512 ") in verify_package(store, "p", None)

    def test_an_unsealed_folder_is_not_stored(self, files: FileStore, tmp_path: Path) -> None:
        with pytest.raises(RequestRejected):
            store_package(write_source(tmp_path / "source"), files, "p")
        assert list(files.list("")) == []

    def test_a_damaged_package_is_not_exported(self, bag: Path, files: FileStore, tmp_path: Path) -> None:
        seal = store_package(bag, files, "p")
        flip(files, "p/data/media/video.mp4")
        with pytest.raises(PackageInvalid) as caught:
            export_package(files, "p", tmp_path / "out", seal)
        assert caught.value.data["first"] == "changed: data/media/video.mp4"
        assert not list(tmp_path.glob("*out*"))

    def test_an_export_never_touches_a_folder_that_is_there(
        self, bag: Path, files: FileStore, tmp_path: Path
    ) -> None:
        store_package(bag, files, "p")
        (tmp_path / "out").mkdir()
        with pytest.raises(AlreadyExists):
            export_package(files, "p", tmp_path / "out")
