"""The dashboard's web application: one page over the store, behind a password."""

from __future__ import annotations

import json
import secrets
from importlib.resources import files
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, status
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from jinja2 import Environment

from dashboard.overview import read_overview
from fire_core.storage.store import Store

CREDENTIALS = HTTPBasic(auto_error=False)


def create_app(db: str, blobs: str, auth: str | None = None) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    db, blobs
        The store.
    auth
        `NAME:PASSWORD` that every visitor must give; None: the door is open.
    """
    app = FastAPI(title="FIRE", docs_url=None, redoc_url=None, openapi_url=None)
    page = Environment(autoescape=True).from_string(
        files("dashboard").joinpath("page.html.j2").read_text(encoding="utf-8")
    )
    page.globals["from_json"] = json.loads

    def known(
        given: Annotated[HTTPBasicCredentials | None, Depends(CREDENTIALS)],
    ) -> None:
        if auth is None:
            return
        word = "" if given is None else f"{given.username}:{given.password}"
        if not secrets.compare_digest(word.encode(), auth.encode()):
            raise HTTPException(
                status.HTTP_401_UNAUTHORIZED,
                "a name and a password are needed",
                headers={"WWW-Authenticate": "Basic"},
            )

    @app.get("/health")
    def health() -> dict[str, str]:
        """Say that the page is there."""
        return {"status": "ok"}

    @app.get("/", response_class=HTMLResponse, dependencies=[Depends(known)])
    def overview() -> str:
        """Show campaigns, labels and what waits for approval."""
        with Store.open(db, blobs) as store:
            return page.render(view=read_overview(store))

    return app
