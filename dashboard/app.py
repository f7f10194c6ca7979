"""The dashboard's web application: pages, API and the door in front of them."""

from __future__ import annotations

import logging
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.sessions import SessionMiddleware

from dashboard import api
from dashboard.access import login
from dashboard.access.guard import Throttle
from dashboard.access.identity import Authenticator
from dashboard.limits import Limits
from dashboard.pages import (
    approve,
    campaign,
    campaigns,
    labels,
    models,
    properties,
    structure,
    structure_files,
    structure_map,
    structures,
    system,
)
from dashboard.rendering import make_environment, render, root_of
from dashboard.settings import SESSION_S
from fire_core.errors import FireError, StoreUnavailableError
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from dashboard.settings import DashboardSettings

PAGES: Final = (
    *(campaigns, campaign, structures, labels, approve, models, properties, system),
    *(structure_files, structure, structure_map),  # files first: a key has no dot
    login,
)
PLAIN_PREFIXES: Final = ("/api/", "/health")
"""Paths that are answered in JSON, errors too."""
AWAY: Final = (500, 503)
"""The store may not answer, and what a page's head shows comes from there."""


def create_app(settings: DashboardSettings) -> FastAPI:
    """Return the application."""
    app = FastAPI(title="FIRE", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.settings = settings
    app.state.doorkeeper = Authenticator(settings)
    app.state.throttle = Throttle()
    app.state.templates = make_environment()
    app.state.log = logging.getLogger("fire.dashboard")
    app.state.store = lru_cache(1)(lambda: Store.open(settings.db, settings.blobs))
    app.add_middleware(
        SessionMiddleware,
        secret_key=app.state.doorkeeper.secret,
        session_cookie="fire_session",
        max_age=SESSION_S,
        same_site="lax",
    )
    app.add_middleware(Limits)
    for page in PAGES:
        app.include_router(page.router)
    app.mount("/api/v1", api.create_api(app))
    _serve_files(app)
    _answer_errors(app)

    @app.get("/health")
    def health() -> dict[str, str]:
        """Report that the dashboard is there."""
        return {"status": "ok"}

    return app


def _serve_files(app: FastAPI) -> None:
    """Serve our own style and script, and those of plotly and chemiscope."""
    own = Path(str(files("dashboard").joinpath("static")))
    app.mount("/static", StaticFiles(directory=own), name="static")
    shipped = {
        "/vendor/plotly": files("plotly").joinpath("package_data"),
        "/vendor/chemiscope": files("chemiscope").joinpath("sphinx", "static"),
    }
    for path, folder in shipped.items():
        app.mount(path, StaticFiles(directory=Path(str(folder))), name=path)


def _answer_errors(app: FastAPI) -> None:
    async def refused(request: Request, error: Exception) -> Response:
        assert_http = error if isinstance(error, StarletteHTTPException) else None
        code = 500 if assert_http is None else assert_http.status_code
        detail = "" if assert_http is None else str(assert_http.detail)
        return answer(request, code, detail)

    async def invalid(request: Request, error: Exception) -> Response:
        details = error.errors() if isinstance(error, RequestValidationError) else []
        words = "; ".join(
            f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in details
        )
        return answer(request, 422, words)

    async def known(request: Request, error: Exception) -> Response:
        code = 503 if isinstance(error, StoreUnavailableError) else 409
        return answer(request, code, str(error))

    app.add_exception_handler(StarletteHTTPException, refused)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(FireError, known)


def answer(request: Request, code: int, detail: str) -> Response:
    """Report what went wrong, to a person or to a program."""
    if request.url.path.startswith(PLAIN_PREFIXES):
        return JSONResponse({"detail": detail}, code)
    asks_for_page = "x-fragment" not in request.headers
    if code == 401 and request.method == "GET" and asks_for_page:
        return RedirectResponse(f"{root_of(request)}/login", 303)
    visitor = None if code in AWAY else getattr(request.state, "visitor", None)
    facts = {"code": code, "detail": detail, "visitor": visitor}
    return render(request, "error", **facts, status=code)
