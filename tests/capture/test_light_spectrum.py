"""Spectrometer files: published values come out, and a bad file is named, never guessed at."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capture.spectrum import KM_LM_PER_W, measure_spectrum, observer, on_grid
from capture.spectrum_file import Spectrum, load_spectrum
from config.errors import SpectrumRejected
from tests.conftest import REPOSITORY

MEDIA = REPOSITORY.parent / "shared" / "media" / "light"
# CCT in K and Ra: CIE 15:2018, tables 10.1 (fluorescent) and 12.1 (LED); D and A by definition.
PUBLISHED = {
    "A": (2856, 100), "D50": (5003, 100), "D65": (6504, 100), "FL1": (6430, 76), "FL2": (4230, 64), "FL3": (3450, 57),
    "FL4": (2940, 51), "FL5": (6350, 72), "FL6": (4150, 59), "FL7": (6500, 90), "FL8": (5000, 95), "FL9": (4150, 90),
    "FL10": (5000, 81), "FL11": (4000, 83), "FL12": (3000, 83), "LED-B1": (2733, 82), "LED-B2": (2998, 83),
    "LED-B3": (4103, 85), "LED-B4": (5109, 77), "LED-B5": (6598, 80), "LED-V1": (2724, 95), "LED-V2": (4070, 95),
}  # fmt: skip


def illuminant(name: str) -> Spectrum:
    import colour

    found = colour.SDS_ILLUMINANTS[name]
    return Spectrum(name, np.asarray(found.wavelengths), np.asarray(found.values))


@pytest.mark.parametrize("name", PUBLISHED)
def test_cct_and_ra_are_the_published_ones(name: str) -> None:
    found = measure_spectrum(illuminant(name))
    assert found is not None
    assert found.cct_k == pytest.approx(PUBLISHED[name][0], abs=30)
    assert found.ra == pytest.approx(PUBLISHED[name][1], abs=1.0)


@pytest.mark.parametrize("step_nm", [0.5, 1.0, 5.0])
def test_a_narrow_line_between_two_steps_keeps_its_energy(step_nm: float) -> None:
    fine = np.arange(360, 831, 0.1)
    line = np.exp(-(((fine - 545.37) / 1.2) ** 2)) + 0.01
    coarse = np.arange(360, 831, step_nm)
    sampled = np.array([line[np.abs(fine - each) <= step_nm / 2].mean() for each in coarse])
    whole, found = on_grid(fine, line), on_grid(coarse, sampled)
    assert found.sum() == pytest.approx(whole.sum(), rel=0.01)
    assert (found @ observer())[1] == pytest.approx((whole @ observer())[1], rel=0.02)


def test_light_of_one_watt_at_555_nm_is_683_lux() -> None:
    wavelengths = np.arange(380.0, 781.0)
    power = np.zeros_like(wavelengths)
    power[wavelengths == 555] = 1.0
    found = on_grid(wavelengths, power) @ observer()
    assert KM_LM_PER_W * found[1] == pytest.approx(683, rel=0.002)


STATED = {
    "lspdd_2551.json": (4440, 61.0),
    "lspdd_2615.json": (2760, 37.0),
    "lspdd_2720.json": (4288, 85.8),  # states a CRI of 75, which its own spectrum denies
    # States 5896 K, which its own spectrum denies: McCamy, Robertson, Ohno and Hernandez-Andres, over 360-830, 380-780
    # or 400-700 nm in steps of 0.5, 5 or 10 nm, all give 5823-5836 K; only wavelengths 1 nm shorter would give 5886.
    "lspdd_2470.json": (5833, 68.1),
    # States 2010 K: what every tenth of its points gives (McCamy 1995 K, Ohno 2007 K), its sodium lines half missed.
    "lspdd_2536.json": (2080, 19.7),
}


@pytest.mark.skipif(not MEDIA.is_dir(), reason="the shared test media are not here")
@pytest.mark.parametrize("name", STATED)
def test_measured_lamps_agree_with_what_was_stated(name: str, tmp_path: Path) -> None:
    raw = json.loads((MEDIA / name).read_text())
    (tmp_path / "lamp.csv").write_text(raw["spectraldata"])
    found = measure_spectrum(load_spectrum(tmp_path / "lamp.csv"))
    assert found is not None
    assert found.cct_k == pytest.approx(STATED[name][0], abs=30)
    assert found.ra == pytest.approx(STATED[name][1], abs=1.0)


@pytest.mark.skipif(not MEDIA.is_dir(), reason="the shared test media are not here")
def test_real_instruments_files_are_read() -> None:
    sekonic = load_spectrum(next(MEDIA.glob("sekonic*.csv")))
    found = measure_spectrum(sekonic)
    assert found is not None and found.lux == pytest.approx(30.1)
    assert (found.cct_k, found.ra, found.duv) == (
        pytest.approx(3262, abs=30),
        pytest.approx(87.5, abs=1),
        pytest.approx(-0.0029, abs=0.0005),
    )
    assert sekonic.absolute
    own = KM_LM_PER_W * (on_grid(sekonic.wavelengths_nm, sekonic.power) @ observer())[1]
    assert own == pytest.approx(30.1, rel=0.01)
    assert sekonic.measured_at is not None and sekonic.measured_at.year == 2021
    spdx = load_spectrum(MEDIA / "Fluorescent.spdx")
    assert spdx.measured_at is not None and spdx.measured_at.year == 2014
    assert not spdx.absolute and len(spdx.wavelengths_nm) == 85


def rows(separator: str = ",", decimal: str = ".", step_nm: float = 5.0, unit: str = "") -> list[str]:
    lamp = illuminant("LED-B3")
    wavelengths = np.arange(380.0, 781.0, step_nm)
    power = np.interp(wavelengths, lamp.wavelengths_nm, lamp.power) / 100
    return [
        f"{w:g}{unit}{separator}{p:.6f}".replace(".", decimal)
        for w, p in zip(wavelengths, power, strict=True)
    ]


def spdx(quantity: str = "relative", prefix: str = "", data: str = "") -> str:
    lines = [row.split(",") for row in rows()]
    body = data or "".join(f'<SpectralData wavelength="{w}">{p}</SpectralData>' for w, p in lines)
    return (
        f'<?xml version="1.0"?>{prefix}<IESTM2714 xmlns="iestm2714" version="1.0"><Header>'
        "<ReportDate>2026-05-04</ReportDate></Header><SpectralDistribution>"
        f"<SpectralQuantity>{quantity}</SpectralQuantity>{body}</SpectralDistribution></IESTM2714>"
    )


SHAPES = {
    "comma": "wavelength,value\n" + "\n".join(rows()),
    "semicolon and decimal comma": "nm;Wert\n" + "\n".join(rows(";", ",")),
    "tab": "\n".join(rows("\t")),
    "blank": "# lamp\n" + "\n".join(rows(" ")),
    "UPRtek": "Model Name\tCV600\nTime\t2026/05/04_09:30:00\nLUX\t812.5\nCRI\t84.8\n"
    + "\n".join(rows("\t", unit="nm")),
    "Sekonic": "Date Saved,04/05/2026 9:30:00 a.m.\n"
    + "\n".join(
        f"Spectral Data {row.split(',')[0]}[nm],{row.split(',')[1]}" for row in rows() + rows(step_nm=1)
    ),
    "spdx": spdx(),
    "with a byte order mark": "\ufeffnm,value\n" + "\n".join(rows()),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_file_gives_the_same_light(shape: str, tmp_path: Path) -> None:
    (tmp_path / "lamp").write_text(SHAPES[shape])
    found = measure_spectrum(load_spectrum(tmp_path / "lamp"))
    assert found is not None
    assert (found.cct_k, found.ra) == (pytest.approx(4103, abs=30), pytest.approx(85, abs=1.0))
    assert found.lux == (812.5 if shape == "UPRtek" else pytest.approx(found.lux) if found.lux else None)


def test_encodings_of_chinese_instruments_are_read(tmp_path: Path) -> None:
    for encoding in ("gb18030", "utf-16"):
        (tmp_path / encoding).write_bytes(("测量时间,2026-05-04\n" + "\n".join(rows())).encode(encoding))
        assert len(load_spectrum(tmp_path / encoding).power) == 81


@pytest.mark.parametrize(
    ("unit", "scale"), [("W/m²/nm", 1.0), ("mW/m2/nm", 1e-3), ("µW/cm²/nm", 1e-2), ("W·m⁻²·nm⁻¹", 1.0)]
)
def test_absolute_units_give_lux(unit: str, scale: float, tmp_path: Path) -> None:
    (tmp_path / "lamp.csv").write_text(f"wavelength (nm),irradiance ({unit})\n" + "\n".join(rows()))
    spectrum = load_spectrum(tmp_path / "lamp.csv")
    found = measure_spectrum(spectrum)
    lamp = illuminant("LED-B3")
    whole = KM_LM_PER_W * (on_grid(lamp.wavelengths_nm, lamp.power / 100) @ observer())[1]
    assert spectrum.absolute and found is not None
    assert found.lux == pytest.approx(whole * scale, rel=0.01)


def test_relative_units_give_no_lux(tmp_path: Path) -> None:
    (tmp_path / "lamp.csv").write_text("wavelength,relative\n" + "\n".join(rows()))
    found = measure_spectrum(load_spectrum(tmp_path / "lamp.csv"))
    assert found is not None and found.lux is None


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
BROKEN = {
    "no_spectrum": b"hello\nworld,1\n",
    "not_a_number": ("\n".join(rows()) + "\n785,---").encode(),
    "wrong_unit": "\n".join(f"{float(r.split(',')[0]) / 1000},{r.split(',')[1]}" for r in rows()).encode(),
    "unsorted": "\n".join(rows()[::-1]).encode(),
    "missing_range": "\n".join(rows()[20:]).encode(),
    "too_coarse": "\n".join(rows()[::5]).encode(),
    "dark": "\n".join(r.split(",")[0] + ",0" for r in rows()).encode(),
    "negative": "\n".join(f"{r.split(',')[0]},{(-1) ** i}" for i, r in enumerate(rows())).encode(),
    "workbook": b"\xd0\xcf\x11\xe0" + bytes(100),
    "not_text": b"380,1\n\0\0\0",
    "document_type": spdx(prefix=BOMB).encode(),
    "not_xml": spdx()[:-20].encode(),
    "not_a_light": spdx("reflectance").encode(),
    "too_big": b"380,1\n" * 400_000,
}


@pytest.mark.parametrize("flaw", BROKEN)
def test_a_bad_file_is_refused_with_what_is_wrong(flaw: str, tmp_path: Path) -> None:
    (tmp_path / "lamp").write_bytes(BROKEN[flaw])
    with pytest.raises(SpectrumRejected) as caught:
        load_spectrum(tmp_path / "lamp")
    assert caught.value.data["flaw"] == flaw


def test_a_nan_or_infinity_is_no_number(tmp_path: Path) -> None:
    for word in ("nan", "inf", "1e999", ""):
        (tmp_path / "lamp").write_text("\n".join(rows()) + f"\n785,{word}")
        with pytest.raises(SpectrumRejected, match="not_a_number"):
            load_spectrum(tmp_path / "lamp")


def test_an_entity_bomb_in_another_encoding_is_not_expanded(tmp_path: Path) -> None:
    (tmp_path / "lamp").write_bytes(spdx(prefix=BOMB).encode("utf-16"))
    with pytest.raises(SpectrumRejected, match="document_type"):
        load_spectrum(tmp_path / "lamp")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpectrumRejected, match=r"gone\.csv.*unreadable"):
        load_spectrum(tmp_path / "gone.csv")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raw=st.binary(max_size=300)
    | st.text(alphabet="0123456789.,;\t\n eE-nm<>/&[]!", max_size=400).map(str.encode)
)
def test_any_bytes_are_read_or_refused(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "lamp").write_bytes(raw)
    try:
        found = load_spectrum(tmp_path / "lamp")
    except SpectrumRejected:
        return
    assert np.isfinite(found.power).all()


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026/05/04_09:30:00", (2026, 5, 4)),
        ("2026-05-04T09:30", (2026, 5, 4)),
        ("25/04/2026 9:30", (2026, 4, 25)),
        ("04/25/2026 9:30", (2026, 4, 25)),
        ("03/04/2026", (2026, 3, 4)),  # March or April: never taken for fresher than it may be
        ("2026年5月4日", (2026, 5, 4)),
    ],
)
def test_dates_are_understood_and_never_too_fresh(text: str, day: tuple[int, ...], tmp_path: Path) -> None:
    (tmp_path / "lamp").write_text(f"Date,{text}\n" + "\n".join(rows()))
    found = load_spectrum(tmp_path / "lamp").measured_at
    assert found is not None
    local = found.astimezone()
    assert (local.year, local.month, local.day) == day


def test_a_file_without_a_date_has_its_own(tmp_path: Path) -> None:
    path = tmp_path / "lamp"
    path.write_text("\n".join(rows()))
    os.utime(path, (0, 0))
    found = load_spectrum(path)
    assert (found.measured_at, found.file_time) == (None, datetime(1970, 1, 1, tzinfo=UTC))


def test_a_stated_ra_that_the_spectrum_denies_is_noticed() -> None:
    lamp = illuminant("LED-B3")

    def stating(**stated: Any) -> Spectrum:
        return Spectrum("lamp", lamp.wavelengths_nm, lamp.power, stated=stated)

    lying, honest = measure_spectrum(stating(ra=75.0)), measure_spectrum(stating(ra=84.8))
    assert lying is not None and lying.ra_differs
    assert honest is not None and not honest.ra_differs
