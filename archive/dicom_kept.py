"""What of a DICOM picture may stay: attributes by keyword, and the only terms that text among them may hold.

None of them is in table E.1-1 of DICOM PS3.15, but for the UIDs, which are replaced.
"""

from __future__ import annotations

# Table E.1-1, action U.
MAPPED_UIDS = frozenset({"SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"})
# Table E.1-1, action Z: a picture has to have them (type 2), with nothing in them.
EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_IDENTITY = ("SOPClassUID", *sorted(MAPPED_UIDS), "Modality", "ImageType", "SeriesNumber", "InstanceNumber")
_PIXELS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "FrameIncrementPointer",
    "FrameTime",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "BurnedInAnnotation",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
_SHADES = (
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "PresentationLUTShape",
    "PixelIntensityRelationship",
    "PixelIntensityRelationshipSign",
)
# The only tables of bytes that stay, in pictures whose colours they are.
PALETTES = tuple(
    (f"{colour}PaletteColorLookupTableDescriptor", f"{colour}PaletteColorLookupTableData")
    for colour in ("Red", "Green", "Blue")
)
_GEOMETRY = (
    "PixelSpacing",
    "PixelAspectRatio",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "SliceLocation",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PatientPosition",
    "PatientOrientation",
    "Laterality",
    "ImageLaterality",
    "ViewPosition",
)
_TECHNIQUE = ("KVP", "RepetitionTime", "EchoTime", "FlipAngle", "MagneticFieldStrength")
_FRAMES = (
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "FrameVOILUTSequence",
    "PixelValueTransformationSequence",
)
_ULTRASOUND = (
    "SequenceOfUltrasoundRegions",
    "RegionSpatialFormat",
    "RegionDataType",
    "RegionFlags",
    "RegionLocationMinX0",
    "RegionLocationMinY0",
    "RegionLocationMaxX1",
    "RegionLocationMaxY1",
    "PhysicalUnitsXDirection",
    "PhysicalUnitsYDirection",
    "PhysicalDeltaX",
    "PhysicalDeltaY",
)
_PALETTES = tuple(keyword for pair in PALETTES for keyword in pair)
KEPT = frozenset(
    {*_IDENTITY, *_PALETTES, *_PIXELS, *_SHADES, *_GEOMETRY, *_TECHNIQUE, *_FRAMES, *_ULTRASOUND}
)


def _terms(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SIDES = frozenset({"R", "L", "B", "U"})
# Defined terms and enumerated values of PS3.3; a text that is none of them goes with its attribute.
TERMS: dict[str, frozenset[str]] = {
    "Modality": _terms(
        "CR CT DX DOC DMS ECG EPS ES GM IO IVUS MG MR NM OCT OP OPT OT PT PX RF RG SC SM TG US XA XC"
    ),
    "ImageType": _terms(
        "ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER OTHER MPR PROJECTION VOLUME RESAMPLED NONE "
        "MIXED T1 T2 DIFFUSION FLAIR M P R I"
    ),
    "PhotometricInterpretation": frozenset(
        {
            "MONOCHROME1",
            "MONOCHROME2",
            "PALETTE COLOR",
            "RGB",
            "YBR_FULL",
            "YBR_FULL_422",
            "YBR_PARTIAL_420",
            "YBR_ICT",
            "YBR_RCT",
        }
    ),
    "BurnedInAnnotation": frozenset({"YES", "NO"}),
    "LossyImageCompression": frozenset({"00", "01"}),
    "LossyImageCompressionMethod": frozenset({"ISO_10918_1", "ISO_14495_1", "ISO_15444_1"}),
    "VOILUTFunction": frozenset({"LINEAR", "LINEAR_EXACT", "SIGMOID"}),
    "RescaleType": frozenset({"OD", "HU", "US", "PCT", "HU_MOD", "MGML"}),
    "PresentationLUTShape": frozenset({"IDENTITY", "INVERSE"}),
    "PixelIntensityRelationship": frozenset({"LIN", "LOG", "DISP"}),
    "PatientPosition": frozenset({"HFP", "HFS", "HFDR", "HFDL", "FFP", "FFS", "FFDR", "FFDL"}),
    "PatientOrientation": _terms("A P L R H F AL AR PL PR AH AF PH PF LH LF RH RF"),
    "Laterality": _SIDES,
    "ImageLaterality": _SIDES,
    "ViewPosition": _terms("AP PA LL RL RLD LLD RLO LLO LATERAL OBLIQUE CC MLO"),
}
