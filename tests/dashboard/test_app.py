"""The page shows what the store holds, to whom it may, and nothing as markup."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest
from ase.build import bulk

from dashboard.app import create_app
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI


def get(app: FastAPI, path: str, auth: tuple[str, str] | None) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as web:
            return await web.get(path, auth=auth)

    return asyncio.run(ask())


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    url, blobs = f"sqlite:///{tmp_path}/fire.db", str(tmp_path / "blobs")
    with Store.open(url, blobs) as store:
        keys = store.add_structures([bulk("LiCl", "rocksalt", a=5.1)], source="test")
        store.add_theory("abc", "code<b>", "1", "{}")
        store.want_labels(keys, "abc")
        store.open_campaign("salt", "{}")
        store.open_campaign("study-hidden", "{}")
        store.add_usage("salt", 1, "label", wall_s=1, core_s=7200)
        store.ask_approval("salt", 1, "selected", 96, '{"core_hours": 12.5}')
    return create_app(url, blobs, auth="lab:word")


def test_it_shows_campaigns_labels_and_what_waits(app: FastAPI) -> None:
    page = get(app, "/", ("lab", "word")).text
    assert "fire campaign approve salt" in page
    assert "12.5" in page
    assert "label, round 1" in page
    assert ">2.00<" in page
    assert "study-hidden" not in page
    assert "code&lt;b&gt; 1" in page


@pytest.mark.parametrize("auth", [None, ("lab", "guess"), ("", "")])
def test_who_has_no_password_sees_nothing(
    app: FastAPI, auth: tuple[str, str] | None
) -> None:
    answer = get(app, "/", auth)
    assert answer.status_code == 401
    assert "salt" not in answer.text
    assert get(app, "/health", None).json() == {"status": "ok"}
