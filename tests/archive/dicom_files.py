"""DICOM files for tests: a small picture, with whatever shall be planted in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
NAME = "ZHANG^XIAOMING"


def picture(side: int = 16, **more: Any) -> Dataset:
    """A CT slice of a ramp of grey, of a named patient."""
    made = Dataset()
    made.SOPClassUID = CT
    made.SOPInstanceUID, made.StudyInstanceUID = generate_uid(), generate_uid()
    made.SeriesInstanceUID = generate_uid()
    made.Modality, made.BurnedInAnnotation = "CT", "NO"
    made.PatientName = NAME
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.Rows = made.Columns = side
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelSpacing, made.RescaleSlope, made.RescaleIntercept = [0.5, 0.5], 1, -1024
    made.WindowCenter, made.WindowWidth = 40, 400
    made.PixelData = np.arange(side * side, dtype="<u2").tobytes()
    made["PixelData"].VR = "OW"
    for keyword, value in more.items():
        setattr(made, keyword, value)
    return made


def write(path: Path, made: Dataset, syntax: str = ExplicitVRLittleEndian) -> Path:
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    made.file_meta.SourceApplicationEntityTitle = "ZHANG_WARD"
    made.preamble = b"preamble of ZHANG".ljust(128, b"\0")
    pydicom.dcmwrite(path, made, enforce_file_format=True)
    return path


def compressed(frames: list[bytes], side: int, **more: Any) -> Dataset:
    """A colour picture whose frames are streams of JPEG or JPEG 2000."""
    made = picture(side, **more)
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "YBR_FULL_422", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    made.NumberOfFrames = len(frames)
    made.PixelData = encapsulate(frames)
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    return made
