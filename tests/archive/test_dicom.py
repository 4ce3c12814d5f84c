"""What is left of a DICOM file once its identity is taken out: planted words are looked for in its bytes."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import DataElement, Dataset
from pydicom.datadict import DicomDictionary, dictionary_VR
from pydicom.uid import generate_uid

from archive.dicom import deidentify
from archive.dicom_kept import KEPT, MAPPED_UIDS
from config.errors import AttachmentRejected
from tests.archive.dicom_files import compressed, picture, write

SECRET = b"s" * 32
SECRET_WORD = "XIAOMING"
PHONE_UID = "1.2.156.13800138000"
# One value of each representation that somebody's identity can hide in.
PLANTED: dict[str, Any] = {
    "PN": "ZHANG^XIAOMING",
    **dict.fromkeys(("LO", "SH", "LT", "ST", "UT", "UC", "UR", "AE", "CS"), "XIAOMING"),
    "DA": "19611107",
    "TM": "061107.191919",
    "DT": "19611107061107.191919",
    "AS": "077Y",
    "UI": PHONE_UID,
    **dict.fromkeys(("OB", "OW", "UN"), b"XIAOMING"),
    "IS": "138001380",
    "DS": "13800138000",
}
FOUND = (b"XIAOMING", b"ZHANG", b"19611107", b"191919", b"077Y", b"13800138", b"WARD")
# Groups that are no part of a data set, and the pixels themselves.
ELSEWHERE = {0x0000, 0x0002, 0x0004, 0x7FE0, 0xFFFE}
NUMBERS = {"IS", "DS"}


def cleaned(tmp_path: Path, made: Dataset, **options: Any) -> tuple[bytes, Dataset, list[str]]:
    source, target = write(tmp_path / "in.dcm", made, **options), tmp_path / "out.dcm"
    concerns = deidentify(source, target, SECRET)
    return target.read_bytes(), pydicom.dcmread(target), concerns


def planted_everywhere() -> Dataset:
    """Every attribute of the dictionary that can hold text, a date, a UID or bytes, filled with the identity."""
    made = Dataset()
    for tag, (vr, *_rest) in DicomDictionary.items():
        keyword = pydicom.datadict.keyword_for_tag(tag)
        # A wrong character set would only spoil the words that are planted.
        kept_number = (keyword in KEPT and vr in NUMBERS) or keyword == "SpecificCharacterSet"
        if tag >> 16 in ELSEWHERE or vr not in PLANTED or kept_number:
            continue
        made.add(DataElement(tag, vr, PLANTED[vr]))
    block = made.private_block(0x0009, "ZHANG PRIVATE", create=True)
    block.add_new(0x01, "LO", "XIAOMING")
    return made


def test_nothing_planted_in_any_attribute_on_any_level_is_left(tmp_path: Path) -> None:
    made = planted_everywhere()
    assert len(made) > 1500
    for tag, (vr, *_rest) in DicomDictionary.items():
        if vr == "SQ" and tag >> 16 not in ELSEWHERE:
            inner = Dataset()
            inner.PatientName, inner.InstitutionName, inner.StudyDate = (
                "ZHANG^XIAOMING",
                "XIAOMING",
                "19611107",
            )
            inner.private_block(0x0011, "ZHANG", create=True).add_new(0x02, "UT", "XIAOMING")
            deeper = Dataset()
            deeper.OperatorsName, deeper.SOPInstanceUID = "ZHANG^XIAOMING", PHONE_UID
            inner.ReferencedImageSequence = [deeper]
            made.add(DataElement(tag, "SQ", [inner]))
    picture_part = picture()
    for element in picture_part:
        if element.keyword in KEPT and element.VR != "CS" and element.keyword not in MAPPED_UIDS:
            made.add(element)
    made.PixelData = picture_part.PixelData
    made["PixelData"].VR = "OW"
    made.PhotometricInterpretation = "MONOCHROME2"
    for group in (0x6000, 0x6002):
        made.add(DataElement((group << 16) | 0x0022, "LO", "XIAOMING"))
        made.add(DataElement((group << 16) | 0x3000, "OW", b"XIAOMING"))
    source = write(tmp_path / "planted.dcm", made)
    assert all(word in source.read_bytes() for word in FOUND)

    target = tmp_path / "out.dcm"
    concerns = deidentify(source, target, SECRET)
    left = target.read_bytes()
    assert not [word for word in FOUND if word in left]
    assert PHONE_UID.encode() not in left
    assert "overlay" in concerns
    assert not [element for element in pydicom.dcmread(target) if element.tag.is_private]


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
def test_the_picture_and_its_measures_stay(tmp_path: Path, syntax: str) -> None:
    made = picture()
    if syntax.endswith(".2.2"):
        made.PixelData = np.arange(256, dtype=">u2").tobytes()
    left, clean, concerns = cleaned(tmp_path, made, syntax=syntax)
    assert concerns == []
    assert (clean.pixel_array == np.arange(256).reshape(16, 16)).all()
    assert list(clean.PixelSpacing) == [0.5, 0.5] and clean.RescaleIntercept == -1024
    assert list(clean.ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert clean.PatientIdentityRemoved == "YES" and "PS3.15" in clean.DeidentificationMethod
    assert clean.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert clean.PatientName == "" and clean.StudyDate == ""
    assert left[:128] == bytes(128)


def test_uids_are_replaced_consistently_within_a_secret_and_not_beyond_it(tmp_path: Path) -> None:
    study, series = generate_uid(), generate_uid()
    first = picture(StudyInstanceUID=study, SeriesInstanceUID=series)
    second = picture(StudyInstanceUID=study, SeriesInstanceUID=series)
    _, one, _ = cleaned(tmp_path, first)
    _, two, _ = cleaned(tmp_path, second)
    assert one.StudyInstanceUID == two.StudyInstanceUID != study
    assert one.SeriesInstanceUID == two.SeriesInstanceUID
    assert one.SOPInstanceUID != two.SOPInstanceUID
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
    deidentify(tmp_path / "in.dcm", tmp_path / "other.dcm", b"o" * 32)
    assert pydicom.dcmread(tmp_path / "other.dcm").StudyInstanceUID != one.StudyInstanceUID
    assert one.StudyInstanceUID.is_valid and one.StudyInstanceUID.startswith("2.25.")


@pytest.mark.parametrize(
    ("more", "concern"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned-in"),
        ({"BurnedInAnnotation": ""}, "burned-in-unknown"),
        ({"Modality": "US"}, "screen-picture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "screen-picture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.4"}, "screen-picture"),
        ({"ConversionType": "WSD"}, "screen-picture"),
        ({"RecognizableVisualFeatures": "YES"}, "visible-features"),
    ],
)
def test_pixels_that_may_name_the_patient_are_a_concern(
    tmp_path: Path, more: dict[str, Any], concern: str
) -> None:
    assert cleaned(tmp_path, picture(**more))[2] == [concern]


def test_an_overlay_in_the_unused_bits_of_the_pixels_is_wiped(tmp_path: Path) -> None:
    made = picture()
    pixels = np.frombuffer(made.PixelData, "<u2").copy()
    made.PixelData = (pixels | np.uint16(0xA000)).tobytes()
    made.add(DataElement(0x60000102, "US", 15))
    _, clean, concerns = cleaned(tmp_path, made)
    assert "overlay" in concerns
    assert (np.frombuffer(clean.PixelData, "<u2") == pixels).all()


def test_signed_pixels_keep_their_sign_when_an_overlay_is_wiped(tmp_path: Path) -> None:
    made = picture(PixelRepresentation=1)
    values = np.linspace(-2000, 2000, 256).astype("<i2")
    made.PixelData = ((values.view("<u2") & np.uint16(0x0FFF)) | np.uint16(0x8000)).astype("<u2").tobytes()
    made.add(DataElement(0x60000102, "US", 15))
    _, clean, _ = cleaned(tmp_path, made)
    assert (np.frombuffer(clean.PixelData, "<i2") == values).all()


def test_what_follows_the_pixels_is_cut_off(tmp_path: Path) -> None:
    made = picture()
    made.PixelData = made.PixelData + b"XIAOMING"
    made.add(DataElement(0xFFFCFFFC, "OB", b"XIAOMING"))
    assert b"XIAOMING" not in cleaned(tmp_path, made)[0]


def jpeg(comment: bytes, **more: Any) -> bytes:
    held = io.BytesIO()
    shades = np.random.default_rng(1).integers(0, 255, (32, 32, 3), np.uint8)
    Image.fromarray(shades).save(held, "JPEG", comment=comment, **more)
    return held.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
def test_comments_and_application_data_in_compressed_frames_are_blanked(
    tmp_path: Path, progressive: bool
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "XIAOMING"
    stream = jpeg(b"patient XIAOMING", exif=exif, progressive=progressive)
    made = compressed([stream, stream + b"ZHANG after the end"], 32)
    left, clean, _ = cleaned(tmp_path, made, syntax="1.2.840.10008.1.2.4.50")
    assert b"XIAOMING" in (tmp_path / "in.dcm").read_bytes()
    assert b"XIAOMING" not in left and b"ZHANG" not in left
    before = np.asarray(Image.open(io.BytesIO(stream)))
    frames = list(pydicom.encaps.generate_frames(clean.PixelData, number_of_frames=2))
    assert all((np.asarray(Image.open(io.BytesIO(frame))) == before).all() for frame in frames)


def test_comments_of_jpeg_2000_are_blanked(tmp_path: Path) -> None:
    held = io.BytesIO()
    shades = np.random.default_rng(1).integers(0, 255, (32, 32, 3), np.uint8)
    Image.fromarray(shades).save(
        held, "JPEG2000", no_jp2=True, comment="patient XIAOMING", tile_size=(16, 16)
    )
    made = compressed([held.getvalue()], 32)
    left, clean, _ = cleaned(tmp_path, made, syntax="1.2.840.10008.1.2.4.90")
    assert b"XIAOMING" in (tmp_path / "in.dcm").read_bytes() and b"XIAOMING" not in left
    (frame,) = pydicom.encaps.generate_frames(clean.PixelData, number_of_frames=1)
    assert (np.asarray(Image.open(io.BytesIO(frame))) == shades).all()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"Rows": 60_000, "Columns": 60_000}, "too-large"),
        ({"NumberOfFrames": 1_000_000}, "too-large"),
        ({"NumberOfFrames": 0}, "too-large"),
        ({"Rows": 17}, "malformed"),
        ({"BitsAllocated": 12}, "malformed"),
        ({"PhotometricInterpretation": "XIAOMING"}, "dicom-no-picture"),
        ({"SOPClassUID": PHONE_UID}, "malformed"),
    ],
)
def test_a_picture_that_is_not_what_it_says_is_refused(
    tmp_path: Path, more: dict[str, Any], why: str
) -> None:
    with pytest.raises(AttachmentRejected) as refused:
        cleaned(tmp_path, picture(**more))
    assert refused.value.data["why"] == why
    assert SECRET_WORD not in str(refused.value)


def test_a_report_or_a_document_in_dicom_is_refused(tmp_path: Path) -> None:
    made = picture()
    del made.PixelData
    made.EncapsulatedDocument = b"%PDF-1.4 XIAOMING"
    with pytest.raises(AttachmentRejected, match="dicom-no-picture"):
        cleaned(tmp_path, made)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.102", PHONE_UID])
def test_deflated_files_and_video_are_refused_before_anything_is_inflated(
    tmp_path: Path, syntax: str
) -> None:
    source = write(tmp_path / "in.dcm", picture(), "1.2.840.10008.1.2.1")
    plain = source.read_bytes()
    at = plain.index(b"1.2.840.10008.1.2.1\0")
    length = len(syntax) + len(syntax) % 2
    body = zlib.compress(bytes(50 << 20))
    group_length = struct.unpack_from("<I", plain, 140)[0] + length - 20
    changed = plain[: at - 2] + struct.pack("<H", length) + syntax.encode().ljust(length, b"\0")
    rest = plain[at + 20 : 144 + struct.unpack_from("<I", plain, 140)[0]]
    source.write_bytes(changed[:140] + struct.pack("<I", group_length) + changed[144:] + rest + body)
    with pytest.raises(AttachmentRejected, match="dicom-encoding"):
        deidentify(source, tmp_path / "out.dcm", SECRET)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_refused_or_cleaned_and_never_anything_else(
    tmp_path: Path, data: st.DataObject
) -> None:
    source = tmp_path / "base.dcm"
    if not source.exists():
        made = picture(InstitutionName="XIAOMING")
        made.ReferencedImageSequence = [picture()]
        write(source, made)
    damaged = bytearray(source.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(132, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(132, len(damaged)))]
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(bytes(damaged))
    try:
        deidentify(broken, tmp_path / "out.dcm", SECRET)
    except AttachmentRejected:
        return
    assert b"XIAOMING" not in (tmp_path / "out.dcm").read_bytes()


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "in.dcm", picture())
    opening = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    source.write_bytes(source.read_bytes()[: -len(picture().PixelData) - 12] + (opening + item) * 20_000)
    with pytest.raises(AttachmentRejected):
        deidentify(source, tmp_path / "out.dcm", SECRET)


def test_every_kept_attribute_exists_and_holds_no_free_text_name_date_or_foreign_uid() -> None:
    for keyword in KEPT:
        vrs = set(dictionary_VR(keyword).split(" or "))
        assert not vrs & {"PN", "LT", "ST", "UT", "UC", "UR", "AE", "DA", "TM", "DT", "AS", "UN", "SH"}, (
            keyword
        )
        if "UI" in vrs:
            assert keyword in MAPPED_UIDS | {"SOPClassUID"}
