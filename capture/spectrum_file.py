"""Spectrometer files: CSV, UPRtek's ``.xls`` (which is text), Sekonic's CSV and IES TM-27-14 ``.spdx``.

The files come from anywhere: their size is limited, XML with a document type (entities) is refused before it is
expanded, and whatever makes a spectrum unusable is named.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from config.errors import SpectrumRejected

Floats = NDArray[np.float64]
MAX_BYTES = 2_000_000
MAX_ROWS = 20_000
# Colour needs the whole of the visible range; CIE 15:2018, 7.2, wants steps of 5 nm or finer.
RANGE_NM = (400.0, 700.0)
MEAN_STEP_NM = 10.0
GAP_NM = 25.0
# Of the visible light: a dark-corrected instrument swings around zero, but only a little.
NOISE_SHARE = 0.02
OLE2 = b"\xd0\xcf\x11\xe0"

_NUMBER = re.compile(r"[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?")
_LABEL = re.compile(
    r"(?:spectral data\s*)?([-+]?\d[\d.,]*(?:e[-+]?\d+)?)\s*[\[(]?\s*(nm)?\s*[\])]?", re.IGNORECASE
)
_POWER_UNIT = re.compile(r"(?P<scale>[munµμ]?)w[/.*]?(?P<area>c?m)-?\^?2[/.*]?nm")
_SCALES = {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9}
_STATED = {
    "lux": "lux", "illuminance [lx]": "lux", "illuminance": "lux", "cct": "cct_k", "cct [k]": "cct_k",
    "tcp [k]": "cct_k", "cri": "ra", "cri ra": "ra", "ra": "ra",
}  # fmt: skip
_DATES = ("date saved", "measurement date", "measured", "date", "time", "datetime", "date/time", "reportdate")
_DATE = re.compile(
    r"(?P<a>\d{1,4})[-/.年](?P<b>\d{1,2})[-/.月](?P<c>\d{1,4})日?"
    r"(?:[T_\s]+(?P<h>\d{1,2}):(?P<m>\d{2})(?::\d{2})?\s*(?P<half>[ap]\.?m)?)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Spectrum:
    """``power`` at increasing ``wavelengths_nm``, both (n,): W/(m2 nm) where ``absolute``, else any relative unit.

    ``measured_at`` is what the file says, or else None; ``file_time`` is the file's own time, which then counts.
    ``stated`` holds the instrument's own lux, cct_k and ra.
    """

    name: str
    wavelengths_nm: Floats
    power: Floats
    absolute: bool = False
    measured_at: datetime | None = None
    stated: dict[str, float] = field(default_factory=dict)
    file_time: datetime | None = None


def load_spectrum(path: Path) -> Spectrum:
    """Read and check a spectrometer's file. Raises SpectrumRejected, which says what is wrong with it."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
            written_at = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
    except OSError as error:
        raise SpectrumRejected(name=path.name, flaw="unreadable", detail=error.strerror or "") from error
    if len(raw) > MAX_BYTES:
        raise SpectrumRejected(name=path.name, flaw="too_big", detail=f"> {MAX_BYTES // 1_000_000} MB")
    text = _decoded(raw, path.name)
    found = (_Xml(path.name) if text.lstrip().startswith("<") else _Table(path.name)).read(text)
    return replace(found, file_time=written_at)


def _decoded(raw: bytes, name: str) -> str:
    if raw.startswith((OLE2, b"PK\x03\x04")):
        raise SpectrumRejected(name=name, flaw="workbook", detail="–")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    if b"\0" in raw:
        raise SpectrumRejected(name=name, flaw="not_text", detail="–")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


@dataclass
class _Table:
    """Lines of ``wavelength, value`` among others of ``name, value``."""

    name: str

    def read(self, text: str) -> Spectrum:
        rows: list[tuple[float, float]] = []
        told: dict[str, str] = {}
        head: list[str] = []
        labelled = unit_in_label = False
        for number, line in enumerate(text.splitlines(), 1):
            cells = _cells(line)
            label = _LABEL.fullmatch(cells[0]) if len(cells) > 1 else None
            if label is None:
                head.append(line)
                if len(cells) > 1:
                    told.setdefault(cells[0].lower().rstrip(":"), cells[1])
                continue
            labelled |= cells[0].lower().startswith("spectral data")
            unit_in_label |= label[2] is not None
            rows.append((_float(label[1], self.name, number), _float(cells[1], self.name, number)))
            if len(rows) > MAX_ROWS:
                raise SpectrumRejected(name=self.name, flaw="too_big", detail=f"> {MAX_ROWS} lines")
        runs = _runs(rows) if labelled else [rows]
        scale = _power_scale("\n".join(head))
        if labelled:
            scale = 1.0  # Sekonic writes W/(m2 nm) and says so only in its manual
        elif unit_in_label and scale is None and "lux" in told:
            scale = 1e-3  # UPRtek writes mW/(m2 nm)
        return _checked(self.name, max(runs, key=len), scale, _date(told), _stated(told))


class _Xml:
    """IES TM-27-14: ``<SpectralData wavelength="400.0">0.034</SpectralData>`` in nanometres."""

    QUANTITIES = ("relative", "irradiance", "flux", "radiance", "intensity", "exitance", "")

    def __init__(self, name: str) -> None:
        self.name = name
        self._rows: list[tuple[float, float]] = []
        self._told: dict[str, str] = {}
        self._text = ""
        self._wavelength: str | None = None

    def read(self, text: str) -> Spectrum:
        parser = expat.ParserCreate("utf-8")
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._gather
        try:
            parser.Parse(text.lstrip("\ufeff \r\n\t").encode(), True)
        except expat.ExpatError as error:
            raise SpectrumRejected(name=self.name, flaw="not_xml", detail=str(error)) from error
        quantity = self._told.get("spectralquantity", "").lower()
        if quantity not in self.QUANTITIES:
            raise SpectrumRejected(name=self.name, flaw="not_a_light", detail=quantity[:40])
        date = _date(self._told) or _date({"date": self._told.get("documentcreationdate", "")})
        return _checked(self.name, self._rows, 1.0 if quantity == "irradiance" else None, date, {})

    def _refuse(self, *_: object) -> None:
        raise SpectrumRejected(name=self.name, flaw="document_type", detail="–")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._text = ""
        self._wavelength = attributes.get("wavelength")

    def _gather(self, text: str) -> None:
        self._text += text

    def _end(self, tag: str) -> None:
        local = tag.rsplit(":", 1)[-1].lower()
        if local == "spectraldata":
            row = len(self._rows) + 1
            self._rows.append(
                (_float(self._wavelength or "", self.name, row), _float(self._text, self.name, row))
            )
            if row > MAX_ROWS:
                raise SpectrumRejected(name=self.name, flaw="too_big", detail=f"> {MAX_ROWS} lines")
        else:
            self._told[local] = self._text.strip()
        self._text = ""


def _cells(line: str) -> list[str]:
    for separator in ("\t", ";", ","):
        if separator in line:
            cells = [cell.strip().strip('"') for cell in line.split(separator)]
            # A decimal comma between blanks: "380,0 0,012".
            if (
                separator == ","
                and any(" " in cell and _NUMBER.match(cell) for cell in cells)
                and len(cells) == 3
            ):
                return line.split()
            return cells
    return line.split()


def _float(text: str, name: str, line: int) -> float:
    match = _NUMBER.fullmatch(text.strip())
    value = float(match[0].replace(",", ".")) if match else math.nan
    if not math.isfinite(value):
        raise SpectrumRejected(name=name, flaw="not_a_number", detail=f"{line}: {text.strip()[:30]!r}")
    return value


def _runs(rows: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Sekonic writes the spectrum twice, in steps of 5 nm and of 1 nm: split where it starts anew."""
    starts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(rows)) if b[0] <= a[0]), len(rows)]
    return [rows[a:b] for a, b in pairwise(starts)]


def _power_scale(head: str) -> float | None:
    plain = re.sub(r"[\s·()\[\]]", "", head.lower().replace("²", "2").replace("⁻¹", "").replace("⁻", "-"))
    unit = _POWER_UNIT.search(plain)
    return None if unit is None else _SCALES[unit["scale"]] * (1e4 if unit["area"] == "cm" else 1.0)


def _stated(told: dict[str, str]) -> dict[str, float]:
    found = {}
    for key, name in _STATED.items():
        match = _NUMBER.fullmatch(told.get(key, ""))
        if match and math.isfinite(value := float(match[0].replace(",", "."))) and value > 0:
            found[name] = value
    return found


def _date(told: dict[str, str]) -> datetime | None:
    """The time of measurement in UTC; an instrument's clock shows the time of this machine's zone.

    Whether 03/04/2026 is March or April nobody can tell: the earlier of the two counts, never the fresher.
    """
    for key in _DATES:
        match = _DATE.search(told.get(key, ""))
        if match:
            a, b, c = int(match["a"]), int(match["b"]), int(match["c"])
            days = [(a, b, c)] if a > 31 else [(c, b, a), (c, a, b)]
            hour, minute = int(match["h"] or 0), int(match["m"] or 0)
            if match["half"]:
                hour = hour % 12 + (12 if match["half"].lower().startswith("p") else 0)
            times = [time for day in days if (time := _time(*day, hour, minute)) is not None]
            if times:
                return min(times)
    return None


def _time(year: int, month: int, day: int, hour: int, minute: int) -> datetime | None:
    try:
        return datetime(year, month, day, hour, minute).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _checked(
    name: str,
    rows: list[tuple[float, float]],
    scale: float | None,
    measured_at: datetime | None,
    stated: dict[str, float],
) -> Spectrum:
    if len(rows) < 2:
        raise SpectrumRejected(name=name, flaw="no_spectrum", detail=str(len(rows)))
    wavelengths, power = np.array(rows, dtype=np.float64).T
    if wavelengths.max() < 10 or wavelengths.min() > 2000:
        detail = f"{wavelengths.min():g}–{wavelengths.max():g}"
        raise SpectrumRejected(name=name, flaw="wrong_unit", detail=detail)
    steps = np.diff(wavelengths)
    if (steps <= 0).any():
        raise SpectrumRejected(name=name, flaw="unsorted", detail=f"{wavelengths[1:][steps <= 0][0]:g} nm")
    if wavelengths[0] > RANGE_NM[0] or wavelengths[-1] < RANGE_NM[1]:
        detail = f"{wavelengths[0]:g}–{wavelengths[-1]:g} nm"
        raise SpectrumRejected(name=name, flaw="missing_range", detail=detail)
    inside = (wavelengths[1:] > RANGE_NM[0]) & (wavelengths[:-1] < RANGE_NM[1])
    if steps[inside].mean() > MEAN_STEP_NM or steps[inside].max() > GAP_NM:
        raise SpectrumRejected(name=name, flaw="too_coarse", detail=f"{steps[inside].max():g} nm")
    if power[(wavelengths >= RANGE_NM[0]) & (wavelengths <= RANGE_NM[1])].max() <= 0:
        raise SpectrumRejected(name=name, flaw="dark", detail="–")
    visible = power[(wavelengths >= RANGE_NM[0]) & (wavelengths <= RANGE_NM[1])]
    if -visible[visible < 0].sum() > NOISE_SHARE * visible[visible > 0].sum():
        raise SpectrumRejected(name=name, flaw="negative", detail=f"{visible.min():g}")
    return Spectrum(
        name, wavelengths, np.clip(power, 0, None) * (scale or 1.0), scale is not None, measured_at, stated
    )
