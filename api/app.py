"""The web application, put together from its settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool

from api.access_log import AccessLog
from api.core import Core, open_core
from api.doors import SESSION_COOKIE, check_doors
from api.errors import install_errors
from api.headers import SecurityHeaders
from api.pages import attachments as attachment_pages
from api.pages import cases as case_pages
from api.pages import consent as consent_pages
from api.pages import login as login_pages
from api.pages import moments as moment_pages
from api.pages import rooms as room_pages
from api.pages import today as today_pages
from api.pages import withdrawn as withdrawn_pages
from api.routes import (
    attachments,
    cases,
    consultations,
    login,
    media,
    moments,
    office,
    recordings,
    redactions,
    rooms,
    station,
)
from api.routes import withdrawn as withdrawn_routes
from api.templating import API
from config.settings import Settings

FOLDERS = (
    login,
    consultations,
    recordings,
    cases,
    moments,
    redactions,
    media,
    office,
    station,
    withdrawn_routes,
    login_pages,
    case_pages,
    moment_pages,
    today_pages,
    consent_pages,
    withdrawn_pages,
    attachments,
    rooms,
    attachment_pages,
    room_pages,
)
SECURITY_SCHEMES = {
    "cookie": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def create_app(settings: Settings, core: Core | None = None) -> FastAPI:
    """The application over ``settings``. A ``core`` that is handed in stays open when the application ends.

    Raises SettingsInvalid when a route says nothing about who may use it.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        check_doors(app)
        recordings.sweep_incoming(settings.home)
        if core is not None:
            yield
            return
        app.state.core = await run_in_threadpool(open_core, settings)
        try:
            yield
        finally:
            await run_in_threadpool(app.state.core.close)

    # The usual documentation pages would load scripts from elsewhere; the description itself has a door.
    app = FastAPI(title="医案 Yian", version="1", openapi_url=None, lifespan=lifespan)
    app.state.settings = settings
    app.state.core = core
    for folder in FOLDERS:
        folder.doors.open(app)
    app.mount("/static", StaticFiles(directory=API / "static"), name="static")
    app.openapi = lambda: _describe(app)  # type: ignore[method-assign]  # FastAPI's own way of extending it
    install_errors(app)
    app.add_middleware(AccessLog)
    app.add_middleware(SecurityHeaders, https=settings.web.https)
    check_doors(app)
    return app


def _describe(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        described = get_openapi(title=app.title, version=app.version, routes=app.routes)
        described.setdefault("components", {})["securitySchemes"] = SECURITY_SCHEMES
        app.openapi_schema = described
    return app.openapi_schema
