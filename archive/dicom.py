"""Taking the identity out of DICOM pictures: DICOM PS3.15, annex E, Basic Application Level Confidentiality Profile.

The profile's table E.1-1 lists what has to go. Here it is the other way round: ``KEPT`` lists the few attributes
that a picture needs to be seen and measured, every value of them checked, and everything else goes, listed or not,
private or not, on every level. UIDs (action U) are replaced, the same one always by the same; attributes that a
picture must have (action Z) are left empty. Pixels are not touched, and nothing is decompressed.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from archive.codestream import JPEG_2000_START, blank_jpeg, blank_jpeg_2000
from archive.dicom_kept import EMPTY, KEPT, MAPPED_UIDS, PALETTES, TERMS
from config.errors import AttachmentRejected

MAGIC_AT, MAGIC = 128, b"DICM"
MAX_PIXELS = 100_000_000
MAX_FRAMES = 20_000
# PS3.5, section 10. Deflated data sets are not among them: they inflate without bound; nor is video.
NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"})
RLE = "1.2.840.10008.1.2.5"
JPEG = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81))
JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91))
METHOD = "PS3.15 E.1 Basic Profile; attributes kept by list (Yian)"
# Pictures of a screen or of the patient from outside: names stand in their pixels more often than not.
SCREEN_MODALITIES = frozenset({"US", "IVUS", "ES", "XC", "GM", "SM", "OP", "OT", "DOC", "SC", "ECG"})
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_ESSENTIAL = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
)


def deidentify(source: Path, target: Path, secret: bytes) -> list[str]:
    """Write ``source`` to ``target`` without what identifies anybody; returns what a reviewer has to look at.

    ``secret`` makes new UIDs: of one secret, files of one study stay together. The concerns are words of
    ``concern.*`` in the catalogue. Raises AttachmentRejected. Call it in a process with limits.
    """
    import pydicom

    syntax = _transfer_syntax(source)
    try:
        whole = pydicom.dcmread(source)
        pydicom.filewriter.correct_ambiguous_vr(whole, syntax != "1.2.840.10008.1.2.2")
        concerns = _concerns(whole)
        clean = _kept(whole, secret)
    except (AttachmentRejected, MemoryError):
        raise
    # The library raises whatever a damaged file leads it to.
    except Exception as error:
        raise AttachmentRejected(why="malformed", detail=type(error).__name__) from error
    _set_pixels(clean, whole, syntax)
    _sign(clean)
    _write(clean, target, syntax)
    return concerns


def _transfer_syntax(source: Path) -> str:
    import pydicom

    try:
        meta = pydicom.filereader.read_file_meta_info(source)
        syntax = str(meta.TransferSyntaxUID)
    except Exception as error:
        raise AttachmentRejected(why="malformed", detail=type(error).__name__) from error
    if syntax not in NATIVE | JPEG | JPEG_2000 | {RLE}:
        raise AttachmentRejected(why="dicom-encoding", detail=syntax[:64])
    return syntax


def _kept(source: Any, secret: bytes, depth: int = 0) -> Any:
    """A new data set with nothing but allowed attributes, each with a checked value."""
    from pydicom import Dataset
    from pydicom.datadict import keyword_for_tag

    clean = Dataset()
    for tag in _tags(source):
        keyword = keyword_for_tag(tag)
        element = source[tag] if keyword in KEPT else None
        value = None if element is None or element.is_empty else _checked(keyword, element, secret, depth)
        if value is not None:
            setattr(clean, keyword, value)
    return clean


def _checked(keyword: str, element: Any, secret: bytes, depth: int) -> Any:
    """The value as it may stay; None: it goes. A value representation that is not the attribute's own goes too."""
    from pydicom.datadict import dictionary_VR
    from pydicom.uid import UID

    if element.VR not in dictionary_VR(keyword).split(" or "):
        return None
    if element.VR == "SQ":
        return [_kept(item, secret, depth + 1) for item in element.value[:MAX_FRAMES]] if depth < 4 else None
    if element.VR in ("OW", "OB"):
        return bytes(element.value)
    values = element.value if element.VM > 1 else [element.value]
    if keyword in MAPPED_UIDS:
        return new_uid(str(element.value), secret)
    if element.VR == "UI":
        return str(element.value) if UID(str(element.value)).type == "SOP Class" else None
    checked = [_plain(element.VR, keyword, value) for value in values]
    if any(value is None for value in checked):
        return None
    return checked if element.VM > 1 else checked[0]


def _plain(vr: str, keyword: str, value: Any) -> Any:
    """One value: a number written anew, or a term of ``TERMS``; None for all else."""
    from pydicom.valuerep import DSfloat

    if vr == "DS":
        number = float(value)
        return DSfloat(number, auto_format=True) if abs(number) < 1e30 else None
    if vr in ("IS", "US", "SS", "UL", "SL", "AT"):
        return int(value)
    if vr in ("FD", "FL"):
        return float(value)
    return str(value) if str(value) in TERMS.get(keyword, ()) else None


def new_uid(uid: str, secret: bytes) -> str:
    """A UID that stands for ``uid`` wherever ``secret`` is the same, and from which nobody gets back (PS3.5, B.2)."""
    digest = hmac.new(secret, uid.encode(), hashlib.sha256).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=4).int}"


def _tags(source: Any) -> list[Any]:
    """The tags of a data set; iterating it would give elements, and parse every one of them."""
    return list(source.keys())


def _concerns(source: Any) -> list[str]:
    """Why the pixels themselves may name or show the patient."""
    found = []
    burned = str(source.get("BurnedInAnnotation", "")).strip()
    if burned == "YES":
        found.append("burned-in")
    elif burned != "NO":
        found.append("burned-in-unknown")
    modality = str(source.get("Modality", "")).strip()
    if (
        modality in SCREEN_MODALITIES
        or "ConversionType" in source
        or str(source.get("SOPClassUID", "")).startswith(SECONDARY_CAPTURE)
    ):
        found.append("screen-picture")
    if any(0x6000 <= tag.group <= 0x60FF for tag in _tags(source)):
        found.append("overlay")
    if str(source.get("RecognizableVisualFeatures", "")).strip() == "YES":
        found.append("visible-features")
    return found


def _set_pixels(clean: Any, source: Any, syntax: str) -> None:
    if "PixelData" not in source or any(keyword not in clean for keyword in _ESSENTIAL):
        raise AttachmentRejected(why="dicom-no-picture", detail="")
    if "SOPClassUID" not in clean or "SOPInstanceUID" not in clean:
        raise AttachmentRejected(why="malformed", detail="SOP")
    _check_palettes(clean)
    if "Modality" not in clean:
        clean.Modality = "OT"
    frames = int(clean.get("NumberOfFrames", 1))
    if not 1 <= frames <= MAX_FRAMES or clean.Rows * clean.Columns > MAX_PIXELS:
        raise AttachmentRejected(why="too-large", detail=f"{clean.Columns}x{clean.Rows}x{frames}")
    pixels = bytes(source["PixelData"].value)
    if syntax in NATIVE:
        _set_native(clean, pixels, frames, _has_hidden_overlay(source), syntax)
    else:
        _set_encapsulated(clean, pixels, frames, syntax)


def _check_palettes(clean: Any) -> None:
    """Tables of colours stay where the picture needs them, and must be as long as they say (PS3.3, C.7.6.3.1.5)."""
    for descriptor, data in PALETTES:
        if clean.PhotometricInterpretation != "PALETTE COLOR":
            clean.pop(descriptor, None)
            clean.pop(data, None)
            continue
        if descriptor not in clean or data not in clean or len(clean[descriptor].value) != 3:
            raise AttachmentRejected(why="dicom-no-picture", detail="")
        entries, _first, bits = clean[descriptor].value
        if len(clean[data].value) not in ((entries or 1 << 16) * size for size in (1, 2) if size * 8 >= bits):
            raise AttachmentRejected(why="malformed", detail=data)


def _set_native(clean: Any, pixels: bytes, frames: int, hidden_overlay: bool, syntax: str) -> None:
    """Exactly the bytes that the picture's size asks for: what comes after them is no picture."""
    samples = 2 if clean.PhotometricInterpretation == "YBR_FULL_422" else clean.SamplesPerPixel
    wanted = (clean.Rows * clean.Columns * samples * frames * clean.BitsAllocated + 7) // 8
    if clean.BitsAllocated not in (1, 8, 16, 32) or not 0 < wanted <= len(pixels):
        raise AttachmentRejected(why="malformed", detail="PixelData")
    pixels = pixels[:wanted]
    if hidden_overlay and clean.BitsStored < clean.BitsAllocated:
        pixels = _masked(pixels, clean, "big" if syntax == "1.2.840.10008.1.2.2" else "little")
    clean.PixelData = pixels + bytes(wanted % 2)
    clean["PixelData"].VR = "OB" if clean.BitsAllocated == 8 else "OW"


def _has_hidden_overlay(source: Any) -> bool:
    """Whether an overlay lies in the unused bits of the pixels (retired, PS3.3 C.9.2)."""
    tags = [tag for tag in _tags(source) if 0x6000 <= tag.group <= 0x60FF and tag.element == 0x0102]
    return any(source[tag].value != 0 for tag in tags)


def _masked(pixels: bytes, clean: Any, order: str) -> bytes:
    """The pixels with every bit outside ``BitsStored`` cleared, two's complement kept for signed ones."""
    import numpy as np

    kind = np.dtype(f"u{clean.BitsAllocated // 8}").newbyteorder(">" if order == "big" else "<")
    high = int(clean.get("HighBit", clean.BitsStored - 1))
    low = max(0, high - clean.BitsStored + 1)
    stored = np.frombuffer(pixels, kind) & kind.type(((1 << clean.BitsStored) - 1) << low)
    if clean.get("PixelRepresentation", 0) == 1 and high < clean.BitsAllocated - 1:
        above = ((1 << clean.BitsAllocated) - 1) ^ ((1 << (high + 1)) - 1)
        stored = np.where(stored & kind.type(1 << high), stored | kind.type(above), stored)
    return bytes(stored.astype(kind).tobytes())


def _set_encapsulated(clean: Any, pixels: bytes, frames: int, syntax: str) -> None:
    from pydicom.encaps import encapsulate, generate_frames

    try:
        found = list(generate_frames(pixels, number_of_frames=frames))
        blanked = list(_blanked(found, syntax))
    except (ValueError, IndexError, KeyError, EOFError) as error:
        raise AttachmentRejected(why="malformed", detail="PixelData") from error
    if len(blanked) != frames:
        raise AttachmentRejected(why="malformed", detail="NumberOfFrames")
    clean.PixelData = encapsulate(blanked)
    clean["PixelData"].VR = "OB"
    clean["PixelData"].is_undefined_length = True


def _blanked(frames: Iterable[bytes], syntax: str) -> Iterable[bytes]:
    for frame in frames:
        if syntax == RLE:
            yield frame
        elif syntax in JPEG_2000 or frame.startswith(JPEG_2000_START):
            yield blank_jpeg_2000(frame)
        else:
            yield blank_jpeg(frame)


def _sign(clean: Any) -> None:
    """What the profile asks for beside removal: empty type 2 attributes, and saying what was done (E.1.1)."""
    from pydicom import Dataset

    for keyword in EMPTY:
        setattr(clean, keyword, None)
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = METHOD
    clean.LongitudinalTemporalInformationModified = "REMOVED"
    profile = Dataset()
    profile.CodeValue = "113100"
    profile.CodingSchemeDesignator = "DCM"
    profile.CodeMeaning = "Basic Application Confidentiality Profile"
    clean.DeidentificationMethodCodeSequence = [profile]


def _write(clean: Any, target: Path, syntax: str) -> None:
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = clean.SOPClassUID
    meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    clean.file_meta = meta
    try:
        pydicom.dcmwrite(target, clean, enforce_file_format=True)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise AttachmentRejected(why="malformed", detail=type(error).__name__) from error
