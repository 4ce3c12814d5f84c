"""Untrusted files in the child that cleans them: what is gone, what is refused, and what cannot get out of hand."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from archive import cleaning
from archive.cleaning import clean_file, form_of
from archive.pictures import MAX_PIXELS
from config.errors import AttachmentRejected
from config.settings import ArchiveSettings
from tests.archive.dicom_files import NAME, picture, write

LIMITS = ArchiveSettings()
SECRET = b"s" * 32
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><name>XIAOMING</name></x:xmpmeta>'


def shades(width: int = 96, height: int = 64) -> Image.Image:
    rows, columns = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([rows * 3, columns * 2, rows + columns], axis=-1).astype(np.uint8))


def telling_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "XIAOMING", 6
    exif.get_ifd(0x8825).update({1: "N", 2: (39.0, 54.0, 26.0)})
    return exif


def refused(source: Path, tmp_path: Path, limits: ArchiveSettings = LIMITS) -> str:
    with pytest.raises(AttachmentRejected) as problem:
        clean_file(source, tmp_path / "out", SECRET, limits)
    return str(problem.value.data["why"])


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that unfolds to ``width * height`` pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compressobj(9)
    body = b"".join(rows.compress(bytes(1 + 3 * width)) for _ in range(height)) + rows.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_photograph_loses_exif_gps_xmp_comments_and_its_tail_and_stands_upright(tmp_path: Path) -> None:
    source, target = tmp_path / "张三.jpg", tmp_path / "out"
    shades().save(source, "JPEG", exif=telling_exif(), comment=b"XIAOMING", xmp=XMP, quality=95)
    source.write_bytes(source.read_bytes() + b"XIAOMING after the end")
    assert source.read_bytes().count(b"XIAOMING") == 4
    told = clean_file(source, target, SECRET, LIMITS)
    assert (told.form, told.concerns) == ("jpeg", ("picture",))
    left = target.read_bytes()
    assert not [word for word in (b"XIAOMING", b"Exif", b"xmpmeta", b"GPS") if word in left]
    clean = Image.open(io.BytesIO(left))
    assert clean.size == (64, 96) and not clean.getexif()
    upright = np.asarray(shades().transpose(Image.Transpose.ROTATE_270), dtype=int)
    assert np.abs(np.asarray(clean, dtype=int) - upright).mean() < 3


def test_a_png_loses_its_texts_and_what_lies_under_transparency(tmp_path: Path) -> None:
    source, target = tmp_path / "in.bin", tmp_path / "out"
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "XIAOMING")
    texts.add_itxt("Comment", "XIAOMING", zip=True)
    hidden = shades().convert("RGBA")
    hidden.putalpha(0)
    hidden.save(source, "PNG", pnginfo=texts, exif=telling_exif())
    assert clean_file(source, target, SECRET, LIMITS).form == "png"
    clean = Image.open(target)
    assert clean.mode == "RGB" and not clean.info and np.asarray(clean).min() == 255
    assert b"XIAOMING" not in target.read_bytes()


def test_a_colour_profile_that_does_not_fit_the_picture_goes_and_the_picture_stays(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jpg", tmp_path / "out"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    shades().save(source, "JPEG", icc_profile=profile.tobytes(), quality=95)
    clean_file(source, target, SECRET, LIMITS)
    assert "icc_profile" not in Image.open(target).info


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "I;16"])
def test_pictures_of_every_kind_are_painted_anew(tmp_path: Path, mode: str) -> None:
    source = tmp_path / "in"
    if mode == "I;16":
        Image.fromarray(np.full((8, 8), 0x8080, np.uint16)).save(source, "PNG")
    else:
        shades().convert(mode).save(source, "JPEG" if mode == "CMYK" else "PNG")
    clean_file(source, tmp_path / "out", SECRET, LIMITS)
    clean = Image.open(tmp_path / "out")
    assert clean.mode in ("L", "RGB")
    if mode == "I;16":
        assert set(np.asarray(clean).ravel()) == {128}


def test_a_file_is_what_it_holds_and_not_what_it_is_called(tmp_path: Path) -> None:
    page = tmp_path / "photo.jpg"
    page.write_bytes(b"%PDF-1.4\n1 0 obj\nendobj\ntrailer\n%%EOF\n")
    assert form_of(page) == "pdf"
    disguised = picture()
    source = write(tmp_path / "scan.png", disguised)
    source.write_bytes(b"%PDF-1.4 ZHANG".ljust(128, b" ") + source.read_bytes()[128:])
    assert form_of(source) == "dicom"
    told = clean_file(source, tmp_path / "out", SECRET, LIMITS)
    assert told.form == "dicom"
    left = (tmp_path / "out").read_bytes()
    assert b"ZHANG" not in left and NAME.encode() not in left
    for content in (b"", b"<svg onload=alert(1)>", b"GIF89a", b"PK\x03\x04", os.urandom(200)):
        other = tmp_path / "other.jpg"
        other.write_bytes(content)
        assert refused(other, tmp_path) == "unknown-form"


def test_a_pdf_keeps_its_bytes_and_is_a_concern(tmp_path: Path) -> None:
    source = tmp_path / "in.pdf"
    source.write_bytes(b"%PDF-1.4\n1 0 obj\nendobj\ntrailer\n%%EOF\n")
    told = clean_file(source, tmp_path / "out", SECRET, LIMITS)
    assert told.concerns == ("pdf",) and (tmp_path / "out").read_bytes() == source.read_bytes()
    source.write_bytes(b"%PDF-1.4\n1 0 obj")
    assert refused(source, tmp_path) == "malformed"


def test_pictures_that_are_cut_short_or_unfold_to_too_much_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "in"
    shades().save(source, "JPEG")
    source.write_bytes(source.read_bytes()[:-200])
    assert refused(source, tmp_path) == "malformed"
    source.write_bytes(bomb(MAX_PIXELS // 1000, 1001))
    assert source.stat().st_size < 1 << 20
    assert refused(source, tmp_path) == "too-large"
    texts = PngImagePlugin.PngInfo()
    texts.add_text("k", "x" * (80 << 20), zip=True)
    shades().save(source, "PNG", pnginfo=texts)
    assert refused(source, tmp_path) == "malformed"


def test_more_memory_than_allowed_is_a_refusal_of_the_file(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(bomb(7900, 8000))
    tight = ArchiveSettings(attachment_memory_mb=256)
    assert refused(source, tmp_path, tight) == "too-demanding"


def test_more_time_than_allowed_is_a_refusal_of_the_file(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(bomb(7900, 8000))
    assert refused(source, tmp_path, ArchiveSettings(attachment_timeout_s=0.05)) == "too-demanding"


def test_the_child_is_told_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIAN_STORE__SECRET_KEY", "s3cret")
    assert not [name for name in cleaning._environment() if name.startswith("YIAN_")]
