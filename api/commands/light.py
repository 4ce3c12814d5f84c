"""``yian light``: check a room's light, and make a light meter of its camera."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from api.commands.common import AsJson
from api.console import both, out, print_json, say
from config.errors import CalibrationRejected, RequestRejected
from config.settings import load_settings

if TYPE_CHECKING:
    from capture.frames import Frames
    from capture.light_calibrate import Calibrated, View
    from capture.light_reference import Lamp, Meter
    from capture.light_setup import Light, Region
    from capture.lighting import LightCheck
    from capture.rig import Rig

app = typer.Typer(no_args_is_help=True)
FRAMES = 5
MARKS = {"pass": "[green]✓[/]", "indeterminate": "[yellow]?[/]", "fail": "[red]✗[/]"}
DIGITS = {"lx": 0, "K": 0, "Ra": 1, "Duv": 4}
RigFile = Annotated[Path | None, typer.Option(help=both("cli.opt.rig"))]
Images = Annotated[list[Path] | None, typer.Option(help=both("cli.light.opt.image"))]


@app.command(help=both("cli.light.check"))
def check(
    rig: RigFile = None,
    image: Images = None,
    spectrum: Annotated[Path | None, typer.Option(help=both("cli.light.opt.spectrum"))] = None,
    lux: Annotated[float | None, typer.Option(min=0, help=both("cli.light.opt.lux-now"))] = None,
    as_json: AsJson = False,
) -> None:
    from capture.light_setup import Light
    from capture.lighting import check_light
    from capture.spectrum_file import load_spectrum

    room = _load(rig) if rig is not None else None
    light = (room.light if room else None) or Light()
    if lux is not None:
        light = light.model_copy(update={"lux": lux})
    if rig is None and not image and spectrum is None and lux is None:
        raise RequestRejected(problem="--rig, --image, --spectrum or --lux is needed")
    measured = load_spectrum(spectrum) if spectrum is not None else None
    found = check_light(
        _pictures(image, room, light),
        light,
        load_settings().capture,
        spectrum=measured,
        locked=None if image else _locked(room, light),
    )
    if as_json:
        from capture.light_advice import advice

        told = [{"key": key, **numbers} for key, numbers in advice(found)]
        print_json(found.to_dict() | {"advice": told})
    else:
        _tell(found)
    if found.verdict != "pass":
        raise typer.Exit(1)


@app.command(help=both("cli.light.calibrate"))
def calibrate(
    rig: Annotated[Path, typer.Option(help=both("cli.opt.rig"))],
    lux: Annotated[list[float], typer.Option(min=1, max=200_000, help=both("cli.light.opt.lux"))],
    cct: Annotated[
        list[float] | None, typer.Option(min=1500, max=20_000, help=both("cli.light.opt.cct"))
    ] = None,
    duv: Annotated[
        list[float] | None, typer.Option(min=-0.05, max=0.05, help=both("cli.light.opt.duv"))
    ] = None,
    image: Images = None,
    spectrum: Annotated[list[Path] | None, typer.Option(help=both("cli.light.opt.meter-spectrum"))] = None,
    lamp: Annotated[
        Literal["daylight", "incandescent", "led", "fluorescent"] | None,
        typer.Option(help=both("cli.light.opt.lamp")),
    ] = None,
    card: Annotated[str, typer.Option(metavar="X0,Y0,X1,Y1", help=both("cli.light.opt.card"))] = "",
    chart: Annotated[str, typer.Option(metavar="X0,Y0,X1,Y1", help=both("cli.light.opt.chart"))] = "",
    exposure_s: Annotated[
        list[float] | None, typer.Option(min=1e-6, help=both("cli.light.opt.exposure"))
    ] = None,
    f_number: Annotated[float, typer.Option(min=0.5, max=64, help=both("cli.light.opt.f-number"))] = 1.0,
    iso: Annotated[float, typer.Option(min=1, help=both("cli.light.opt.iso"))] = 100.0,
    write: Annotated[bool, typer.Option("--write", help=both("cli.light.opt.write"))] = False,
    as_json: AsJson = False,
) -> None:
    from capture import light_calibrate
    from capture.light_file import calibration_toml, write_calibration
    from capture.light_setup import Light

    room = _load(rig)
    light = room.light or Light()
    if card:
        light = light.model_copy(update={"card": _region(card)})
    meters = _meters(lux, cct or [], duv or [], spectrum or [], lamp)
    if not image and _locked(room, light) is False:
        raise CalibrationRejected(flaw="not_locked", detail=light.camera)
    views = _views(meters, image or [], exposure_s or [1.0], f_number, iso, room, light)
    found = light_calibrate.calibrate(views, light, _region(chart) if chart else None)
    if write:
        assert light.card is not None
        write_calibration(rig, found.calibration, light.card)
    if as_json:
        print_json(
            {
                "calibration": found.calibration.model_dump(mode="json", exclude_none=True),
                "response_error": found.response_error,
                "chart_error": found.chart_error,
                "lux_error": found.lux_error,
                "assumed_light": found.assumed_light,
            }
        )
        return
    _tell_calibrated(found)
    if write:
        say("cli.light.written", name=rig.name)
    else:
        say("cli.light.paste", name=rig.name)
        out.print(calibration_toml(found.calibration), markup=False, soft_wrap=True)


def _load(rig: Path) -> Rig:
    from capture.rig import load_rig

    return load_rig(rig)


def _pictures(images: list[Path] | None, room: Rig | None, light: Light) -> Frames | None:
    import numpy as np

    from capture.frames import grab_frames, read_image

    if images:
        pictures = [read_image(each) for each in images]
        if len({each.shape for each in pictures}) > 1:
            raise RequestRejected(problem="--image: pictures of different sizes")
        return np.concatenate(pictures)
    if room is not None and light.camera:
        return grab_frames(room, light.camera, FRAMES)
    return None


def _locked(room: Rig | None, light: Light) -> bool | None:
    from capture.light_lock import is_locked
    from capture.rig import Camera

    chosen = room.find(light.camera) if room is not None and light.camera else None
    return is_locked(chosen) if isinstance(chosen, Camera) else None


def _region(text: str) -> Region:
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError as error:
        raise RequestRejected(problem=f"{text!r}: write four numbers X0,Y0,X1,Y1") from error
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise RequestRejected(problem=f"{text!r}: parts of the picture, 0 to 1, left and top first")
    return x0, y0, x1, y1


def _meters(
    lux: list[float], cct: list[float], duv: list[float], spectra: list[Path], lamp: Lamp | None
) -> list[Meter]:
    from capture.light_reference import Meter
    from capture.spectrum import measure_spectrum
    from capture.spectrum_file import load_spectrum

    if spectra and len(spectra) != len(lux):
        raise RequestRejected(problem="as many --spectrum as --lux")
    if not spectra and len(cct) != len(lux):
        raise RequestRejected(problem="as many --cct as --lux (or a --spectrum for each)")
    if duv and len(duv) != len(lux):
        raise RequestRejected(problem="as many --duv as --lux")
    found = []
    for index, value in enumerate(lux):
        if not spectra:
            found.append(Meter(value, cct[index], duv[index] if duv else None, lamp=lamp))
            continue
        spectrum = load_spectrum(spectra[index])
        seen = measure_spectrum(spectrum)
        if seen is None:
            raise CalibrationRejected(flaw="not_white", detail=spectrum.name)
        found.append(Meter(value, seen.cct_k, seen.duv, spectrum))
    return found


def _views(
    meters: list[Meter],
    images: list[Path],
    exposures_s: list[float],
    f_number: float,
    iso: float,
    room: Rig,
    light: Light,
) -> list[View]:
    from capture.frames import read_image
    from capture.light_calibrate import View

    if images and len(images) != len(meters):
        raise RequestRejected(problem="as many --image as --lux")
    if not images and len(meters) > 1:
        raise RequestRejected(problem="several readings need a saved --image for each")
    if len(exposures_s) not in (1, len(meters)):
        raise RequestRejected(problem="one --exposure-s, or as many as --lux")
    exposures = exposures_s * len(meters) if len(exposures_s) == 1 else exposures_s
    views = []
    for index, meter in enumerate(meters):
        pictures = read_image(images[index]) if images else _pictures(None, room, light)
        if pictures is None:
            raise CalibrationRejected(flaw="no_camera", detail="–")
        views.append(View(pictures, meter, exposures[index], f_number, iso))
    return views


def _tell(found: LightCheck) -> None:
    from capture.light_advice import advice

    at = datetime.fromisoformat(found.checked_at).astimezone(load_settings().zone)
    verdict = both(f"light.verdict.{found.verdict}")
    out.print(f"{MARKS[found.verdict]} {both('light.title')} {at:%Y-%m-%d %H:%M}: {verdict}", soft_wrap=True)
    for name in ("illuminance", "cct", "cri", "duv"):
        reading = getattr(found, name)
        shown = "–"
        if reading.value is not None:
            digits = DIGITS[reading.unit]
            shown = f"{reading.value:.{digits}f} ± {reading.uncertainty or 0:.{digits}f} {reading.unit}"
        source = both(f"light.source.{reading.source}")
        line = f"{MARKS[reading.verdict]} {both(f'light.quantity.{name}')}: {shown} ({source})"
        out.print(f"  {line}", soft_wrap=True)
    for key, numbers in advice(found):
        out.print(f"  → {both(key, **numbers)}", markup=False, soft_wrap=True)


def _tell_calibrated(found: Calibrated) -> None:
    say(
        "cli.light.calibrated",
        lux=f"{found.own_lux_uncertainty:.0%}",
        cct=f"{found.own_cct_uncertainty_k:.0f}",
        other_lux=f"{found.lux_uncertainty:.0%}",
        other_cct=f"{found.cct_uncertainty_k:.0f}",
    )
    for name in ("response_error", "chart_error", "lux_error"):
        value = getattr(found, name)
        if value is not None:
            say(f"cli.light.fit.{name}", value=f"{value:.1%}")
    if found.assumed_light is not None:
        say("cli.light.assumed", name=found.assumed_light)
    if found.chart_error is None:
        say("cli.light.card-only")
