"""The light part of a rig file: what looks at the light, and what was measured once to make it a meter."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0)]
Level = Annotated[float, Field(ge=0)]
Row = tuple[float, float, float]
Region = tuple[float, float, float, float]


class _Part(BaseModel):
    # The input that was wrong may be an address with a password: it stays out of every message.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class OwnLight(_Part):
    """A light that the reference meter stood under. ``card``: linear R, G, B of the card at a luminance of 1, in the
    unit that ``k`` takes to cd/m2. Uncertainties are the meter's, expanded (k = 2): relative, kelvin and Duv.
    """

    card: tuple[Positive, Positive, Positive]
    cct_k: Annotated[float, Field(gt=1000, lt=25_000)]
    duv: Annotated[float, Field(gt=-0.1, lt=0.1)] = 0.0
    lux_uncertainty: Annotated[float, Field(gt=0, lt=1)]
    cct_uncertainty_k: Positive
    duv_uncertainty: Positive


class Calibration(_Part):
    """What makes a camera a light meter: fixed exposure and a response measured once on site.

    ``k`` is the gain in L = k*Y*N^2/(t*ISO), cd/m2, where Y is the linear luminance 0..1. ``response`` is ``"srgb"``
    (IEC 61966-2-1), ``"bt709"`` (ITU-R BT.709-6, 1.2) or the exponent of a power law. ``balance`` multiplies linear
    R, G, B; ``matrix`` (3 x 3, row by row) then takes them to CIE XYZ; without one the camera is taken for an sRGB
    camera, and ``balance`` must make a neutral card under D65 equal in all channels.

    Uncertainties are expanded (k = 2): relative for lux, kelvin at 4500 K (and as many mired elsewhere). A camera whose colours are only known under
    one light is trusted less the further it is from there: ``cct_slope`` kelvin more for each kelvin away from
    ``reference_cct_k``. ``surround`` is the card's luminance over that of what lies around it, to know it again.

    ``seen`` is what a camera calibrated on a ColorChecker saw, reading by reading: linear R, G, B of the card and of the
    24 patches (75 numbers, 0 where cut off), for a luminance of 1; ``spectra`` are those that its light may have had,
    380 to 780 nm by 5. With them ``matrix`` only shows what the camera is like: :mod:`capture.light_model` measures, the
    better where the chart still lies at ``chart``, and adds its own uncertainty to these, which are the reference's.

    ``own`` are the lights that the meter stood under: :mod:`capture.light_own` knows them again.
    """

    exposure_s: Annotated[float, Field(gt=0, le=10)]
    f_number: Annotated[float, Field(gt=0, le=64)]
    iso: Positive
    k: Positive
    response: Literal["srgb", "bt709"] | Annotated[float, Field(ge=1, le=4)] = "srgb"
    balance: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    matrix: tuple[Row, Row, Row] | None = None
    lux_uncertainty: Annotated[float, Field(gt=0, lt=1)] = 0.15
    cct_uncertainty_k: Positive = 150.0
    duv_uncertainty: Positive = 0.006
    reference_cct_k: Positive | None = None
    cct_slope: Annotated[float, Field(ge=0, le=10)] = 0.0
    surround: Positive | None = None
    chart: Region | None = None
    seen: tuple[Annotated[tuple[Level, ...], Field(min_length=75, max_length=75)], ...] = ()
    spectra: tuple[tuple[Annotated[tuple[Level, ...], Field(min_length=81, max_length=81)], ...], ...] = ()
    own: tuple[OwnLight, ...] = ()
    calibrated_on: date | None = None

    @model_validator(mode="after")
    def _every_sight_has_its_light(self) -> Self:
        if len(self.seen) != len(self.spectra) or not all(self.spectra):
            raise ValueError("seen and spectra must be equally many, with a spectrum for each")
        if any(max(each) <= 0 for light in self.spectra for each in light):
            raise ValueError("a spectrum must have light")
        if any(min(each[:3]) <= 0 for each in self.seen):
            raise ValueError("the first three numbers of seen are the card's and not 0")
        return self


class Sensor(_Part):
    """A lux sensor: lines over serial (JSON or ``name: value``), or JSON over HTTP (ESPHome's REST answer).

    ``source`` is a serial device such as /dev/ttyUSB0 or COM3, or an address. ``field`` names the value among
    several; empty: the only one, or the first that is called after light.
    """

    kind: Literal["serial", "http"]
    source: Annotated[str, Field(min_length=1, repr=False)]
    field: str = ""
    baud: Annotated[int, Field(ge=300, le=4_000_000)] = 115_200
    factor: Positive = 1.0
    uncertainty: Annotated[float, Field(gt=0, lt=1)] = 0.10

    @model_validator(mode="after")
    def _source_fits(self) -> Self:
        if self.kind == "http" and not self.source.startswith(("http://", "https://")):
            raise ValueError("source of an http sensor starts with http:// or https://")
        return self


class Light(_Part):
    """What the light check looks at: a grey card seen by a calibrated camera, a lux sensor, a lamp's certificate.

    ``card`` is the card's region as fractions of the frame (x0, y0, x1, y1), origin top left. ``witnesses`` are
    further neutral things (a second grey card, white paper) whose colour must agree with the card's: they betray
    daylight beside lamps; so does a smooth surface whose tint drifts, unless ``surroundings`` is off, for a room whose
    wall or table is no single colour. ``lux`` is a reading taken by hand. ``cri`` and ``lamp_cct_k`` are the certificate's
    words, dated ``cri_date``. ``spectrum`` is a spectrometer's file. ``lamps`` are the lamps' names, for advice.
    """

    camera: str = ""
    card: Region | None = None
    witnesses: tuple[Region, ...] = ()
    surroundings: bool = True
    reflectance: Annotated[float, Field(gt=0, le=1)] = 0.18
    calibration: Calibration | None = None
    sensor: Sensor | None = None
    lux: Annotated[float, Field(ge=0)] | None = None
    lux_uncertainty: Annotated[float, Field(gt=0, lt=1)] = 0.10
    cri: Annotated[float, Field(le=100)] | None = None
    cri_uncertainty: Positive = 2.0
    cri_date: date | None = None
    lamp_cct_k: Annotated[float, Field(gt=1000, lt=25_000)] | None = None
    spectrum: str = ""
    lamps: tuple[Annotated[str, Field(min_length=1, max_length=40)], ...] = ()

    @model_validator(mode="after")
    def _regions_lie_in_the_frame(self) -> Self:
        for name, region in (("card", self.card), *(("witnesses", each) for each in self.witnesses)):
            if region is not None:
                x0, y0, x1, y1 = region
                if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
                    raise ValueError(
                        f"{name} must be x0, y0, x1, y1 with 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1"
                    )
        return self

    def public_dict(self) -> dict[str, Any]:
        """The setup as it may be stored and sent: no address, no folder."""
        told = self.model_dump(mode="json", exclude_none=True, exclude={"sensor": {"source"}})
        return told | {"spectrum": Path(self.spectrum).name}
