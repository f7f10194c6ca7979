"""The read-only JSON over the store, for scripts; version 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI

if TYPE_CHECKING:
    pass


def create_api(parent: FastAPI) -> FastAPI:
    """Return the API, which shares store and door with the pages."""
    api = FastAPI(title="FIRE", version="1")
    api.state = parent.state
    return api
