"""The station's web application: the page, what it shows twice a second, and what its keys do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Form, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field

from api.headers import SecurityHeaders
from api.messages import LANGUAGES, Language, Messages, as_language, load_messages
from api.station.guard import COOKIE, LOOPBACK, Guard, Pin
from api.station.words import doubts_in_words, in_words
from api.templating import API, templates
from capture.running import CHAPTERS, Chapter
from capture.station import Station
from config.errors import DiskFull, NotFound, NotReady, RequestRejected, TooManyAttempts, YianError
from config.settings import Settings

LANGUAGE_COOKIE = "yian_language"
YEAR_S = 365 * 24 * 3600
Text = Annotated[str, Field(max_length=200)]


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StartAsked(Asked):
    consultation: Annotated[str, Field(max_length=64)]
    override: Text = ""


class ChapterAsked(Asked):
    chapter: Chapter


class PaperAsked(Asked):
    in_view: bool


class LoginAsked(Asked):
    username: Annotated[str, Field(min_length=1, max_length=64)]
    password: Annotated[str, Field(min_length=1, max_length=256)]


class WithdrawAsked(Asked):
    consultation: Annotated[str, Field(max_length=64)]
    reason: Text = ""


def create_station_app(settings: Settings, station: Station, hosts: frozenset[str]) -> FastAPI:
    """The application over an entered ``station``. ``hosts``: the names under which its page may be asked for."""
    app = FastAPI(title="医案 station", openapi_url=None)
    app.state.settings, app.state.station, app.state.pin = settings, station, Pin(settings)
    _add_pages(app)
    _add_commands(app)
    app.mount("/static", StaticFiles(directory=API / "static"), name="static")
    app.add_exception_handler(YianError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_middleware(Guard, pin=app.state.pin, hosts=hosts)
    app.add_middleware(SecurityHeaders, https=False)
    return app


def _add_pages(app: FastAPI) -> None:
    settings: Settings = app.state.settings
    station: Station = app.state.station
    pin: Pin = app.state.pin

    @app.get("/")
    def show(request: Request) -> Response:
        return _page(
            request,
            "station.html",
            chapters=CHAPTERS,
            cameras=station.cameras,
            microphones=station.microphones,
        )

    @app.get("/pin")
    def ask_pin(request: Request) -> Response:
        if not pin.is_needed:
            return RedirectResponse("/", status_code=303)
        return _page(request, "station_pin.html", problem=None)

    @app.post("/pin")
    def take_pin(request: Request, given: Annotated[str, Form(alias="pin", max_length=64)]) -> Response:
        try:
            token = pin.exchange(given.strip())
        except TooManyAttempts as error:
            return _page(
                request, "station_pin.html", status=429, problem=" ".join(_words(request).error(error))
            )
        if token is None:
            return _page(
                request, "station_pin.html", status=401, problem=_words(request).text("station.pin.wrong")
            )
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(COOKIE, token, httponly=True, samesite="strict")
        return answer

    @app.post("/language")
    def choose_language(language: Annotated[Language, Form()]) -> Response:
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(LANGUAGE_COOKIE, language, max_age=YEAR_S, samesite="lax", httponly=True)
        return answer

    @app.get("/state")
    def state(request: Request) -> dict[str, Any]:
        return in_words(station.snapshot(), _words(request), settings.zone, settings.capture.core_url)

    @app.get("/levels")
    def levels() -> dict[str, Any]:
        return station.levels()

    @app.get("/preview/{camera}")
    def preview(camera: str, n: Annotated[int, Query(ge=0)] = 0) -> Response:
        jpeg = station.preview.newest(camera)
        if jpeg is None:
            raise NotFound(what="picture", id=camera[:40])
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


def _add_commands(app: FastAPI) -> None:
    station: Station = app.state.station
    plain: dict[str, Callable[[], object]] = {
        "/pause": station.pause,
        "/resume": station.resume,
        "/stop": station.stop,
        "/light": station.check_light,
        "/roles": station.check_roles,
        "/roles/end": station.end_role_check,
        "/acknowledge": station.acknowledge,
        "/today": station.ask_for_today,
        "/logout": station.log_out,
    }
    for path, command in plain.items():
        app.post(path)(_calling(command))

    @app.post("/start")
    def start(asked: StartAsked) -> dict[str, str]:
        return {"session": station.start(asked.consultation, asked.override)}

    @app.post("/login")
    def log_in(request: Request, asked: LoginAsked) -> None:
        # The page itself has no TLS: a password may not travel through the room's network in the clear.
        if request.url.scheme != "https" and (request.client is None or request.client.host not in LOOPBACK):
            raise NotReady(reason="login_here")
        station.log_in(asked.username.strip(), asked.password)

    @app.post("/chapter")
    def chapter(asked: ChapterAsked) -> None:
        station.chapter(asked.chapter)

    @app.post("/paper")
    def paper(asked: PaperAsked) -> None:
        station.paper(asked.in_view)

    @app.post("/withdraw")
    def withdraw(asked: WithdrawAsked) -> None:
        station.withdraw(asked.consultation, asked.reason)

    @app.post("/interrupted/{local}/continue")
    def go_on(local: str) -> None:
        station.resume_interrupted(local)

    @app.post("/interrupted/{local}/close")
    def close(local: str) -> None:
        station.close_interrupted(local)


def _calling(command: Callable[[], object]) -> Callable[[], None]:
    """A route that runs ``command`` and answers when its outcome is certain."""

    def run() -> None:
        command()

    return run


def _words(request: Request) -> Messages:
    settings: Settings = request.app.state.settings
    chosen = as_language(request.cookies.get(LANGUAGE_COOKIE, ""))
    return load_messages(chosen or settings.web.language)


def _page(request: Request, template: str, *, status: int = 200, **shown: Any) -> HTMLResponse:
    words = _words(request)
    settings: Settings = request.app.state.settings
    text = templates().get_template(template)
    shown = {
        "language": words.language,
        "languages": LANGUAGES,
        "base": settings.base,
        "room": settings.capture.room,
        **shown,
    }
    return HTMLResponse(
        text.render(t=words.text, **shown), status_code=status, headers={"Cache-Control": "no-store"}
    )


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, YianError)
    words = _words(request)
    told: dict[str, Any] = {"code": error.code}
    if isinstance(error, NotReady):
        station: Station = request.app.state.station
        reason, doubts = error.data["reason"], station.doubts()
        if reason not in [doubt.code for doubt in doubts]:
            doubts = []  # no reason that a person gives gets around this one
        told |= {"reason": reason, "doubts": doubts_in_words(doubts, station.snapshot(), words)}
    what, then = words.error(error)
    if isinstance(error, DiskFull):
        then = words.text("station.full.next")
    return JSONResponse({**told, "detail": what, "next": then}, status_code=error.status)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return await _on_error(request, RequestRejected(problem=f"{first['loc'][-1]}: {first['msg']}"))
