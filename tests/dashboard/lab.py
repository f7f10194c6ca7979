"""A store with something on every page, and visitors of every role."""

from __future__ import annotations

import asyncio
import io
import json
import re
from dataclasses import dataclass, field, replace
from html import unescape
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

from dashboard.access.people import People
from dashboard.access.roles import Role
from dashboard.app import create_app
from dashboard.settings import DashboardSettings
from fire_core.campaign.kinds import JUDGEMENT, EnergyConservation, Judgement
from fire_core.config.campaign import CampaignConfig
from fire_core.records import (
    ErrorSummary,
    Failure,
    FailureKind,
    Frame,
    FrameTag,
    Label,
    Pick,
    PropertyResult,
    PropertyValue,
)
from fire_core.storage.claims import LeaseTerms
from fire_core.storage.properties import PropertyAsked
from fire_core.storage.selections import SelectionRow
from fire_core.storage.store import Store
from tests.storage.conftest import make_frames

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI

EVIL = "<img src=x onerror=alert(1)>"
SECRET = "open sesame"
NAMES = {Role.VIEWER: "vera", Role.MEMBER: "max", Role.OPERATOR: "olga"}


@dataclass
class Lab:
    """A dashboard over a store with a campaign; `facts` has keys and names."""

    app: FastAPI
    url: str
    blobs: Path
    people: Path
    facts: dict[str, str] = field(default_factory=dict)

    def store(self) -> Store:
        return Store.open(self.url, self.blobs)

    def chosen(self, purpose: str, round_: int = 1) -> list[str]:
        with self.store() as opened:
            row = opened.selections.get("salt", round_, purpose)
        assert row is not None
        return row.keys


@dataclass
class Browser:
    """Keeps cookies between requests, as a browser does."""

    app: FastAPI
    address: str = "10.1.1.1"
    headers: dict[str, str] = field(default_factory=dict)
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            door = httpx.ASGITransport(self.app, client=(self.address, 1))
            async with httpx.AsyncClient(
                transport=door, base_url="http://x", cookies=self.cookies
            ) as web:
                headers = self.headers | more.pop("headers", {})
                answer = await web.request(method, path, headers=headers, **more)
                self.cookies = web.cookies
                return answer

        return asyncio.run(ask())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **fields: Any) -> httpx.Response:
        """Send a form with the word of this session."""
        return self.request("POST", path, data={"csrf": self.csrf(), **fields})

    def csrf(self) -> str:
        page = self.get("/login")
        if page.status_code == httpx.codes.SEE_OTHER:
            page = self.get("/approve")
        mark = 'name="csrf" value="'
        if mark not in page.text:
            return ""
        return page.text.split(mark, 1)[1].split('"', 1)[0]


def enter(lab: Lab, role: Role) -> Browser:
    """Return the browser of somebody who has signed in."""
    browser = Browser(lab.app)
    answer = browser.post("/login", name=NAMES[role], password=SECRET)
    assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
    return browser


def words(page: httpx.Response) -> str:
    """Return what a page says, without its markup."""
    return unescape(" ".join(re.sub(r"<[^>]*>", " ", page.text).split()))


def build(folder: Path, url: str | None = None) -> Lab:
    """Fill a store and open a dashboard over it."""
    url = url or f"sqlite:///{folder}/fire.db"
    blobs, people = folder / "blobs", folder / "people"
    facts: dict[str, str] = {}
    with Store.open(url, blobs) as store:
        _fill(store, facts)
    file = People(people)
    for role, name in NAMES.items():
        file.put(name, role, SECRET)
    settings = DashboardSettings(db=url, blobs=str(blobs), people=people)
    return Lab(create_app(settings), url, blobs, people, facts)


def _fill(store: Store, facts: dict[str, str]) -> None:
    frames = make_frames(12)
    keys = store.structures.add(frames, source=f"by {EVIL}")
    config = CampaignConfig.model_validate(
        {
            "name": "salt",
            "owner": EVIL,
            "system": {"kind": "file", "path": "cell.cif"},
            "perturb": {"n": 4},
            "select": {"n": 3},
            "evaluate": {"n": 3},
        }
    )
    theory = "theory-1"
    store.theories.add(theory, f"code {EVIL}", "1", json.dumps({"cutoff_ev": 400}))
    store.campaigns.open("salt", config.model_dump_json())
    store.campaigns.open("study-hidden", "{}")
    store.selections.save("salt", 0, "start", SelectionRow("build", keys[:1]))
    store.selections.save("salt", 0, "perturb", SelectionRow("perturb", keys[:4]))
    picks = [Pick(i, i, i, 2, 0.1 * i) for i in range(3)]
    chosen = SelectionRow("kmeans", keys[4:7], picks, json.dumps(_meta(store)))
    store.selections.save("salt", 1, "selected", chosen)
    store.selections.save("salt", 1, "test", SelectionRow("even", keys[7:10]))
    run = store.runs.open("salt", 1, "explore", "m", "{}")
    moved = [
        Frame(atoms, FrameTag("m", i, 300.0, 4 * i), -1.0)
        for i, atoms in enumerate(frames[4:7])
    ]
    store.runs.save_segment(run, 0, moved, b"state", [])
    store.labels.want(keys[:11], theory)
    claims = store.labels.claim(theory, "worker", limit=10, terms=LeaseTerms(60, 3))
    rng = np.random.default_rng(1)
    for number, claim in enumerate(claims):
        if number == 3:
            failure = Failure(FailureKind.CRASHED, f"broke {EVIL}", f"log {EVIL}")
            store.labels.fail(claim.label_id, "worker", failure, 7.0)
        else:
            label = Label(-10.0 - number, rng.normal(size=(8, 3)), np.zeros(6))
            store.labels.finish(claim.label_id, "worker", label, core_seconds=36.0)
    sha = store.blobs.put_bytes(b"weights")
    for name, file in (("pre_fine_tuned", sha), ("fire", sha)):
        store.models.add("salt", name, file, parent_sha="f" * 64, config_json="{}")
        for epoch in range(3):
            record = {
                "epoch": epoch,
                "valid": {"force_rmse": 90.0 - epoch},
                "forgetting_force_mae": 200.0 + epoch,
            }
            store.models.save_epoch(
                "salt", name, epoch, json.dumps(record), b"checkpoint"
            )
    for kind, error in (("zero_shot", 600.0), ("fire", 100.0)):
        found = _judgement(store, error, rng)
        store.evaluations.save(JUDGEMENT, "salt", found, round_=1, subject=kind)
    store.usage.add("salt", 0, "label", wall_s=20.0, core_s=1800.0)
    store.usage.add("salt", 1, "train_fire", wall_s=60.0, core_s=1800.0, gpu_s=60.0)
    store.approvals.ask("salt", 2, "selected", 96, json.dumps({"core_hours": 12.5}))
    asked = PropertyAsked(
        key="a" * 64, name="lif-elasticity", work="b" * 64, kind="density",
        subject=f"model {EVIL}", subject_sha=sha, structure=keys[0],
        formula="Cl4Li4", request_json="{}",
    )  # fmt: skip
    store.properties.open(asked)
    modulus = PropertyValue("youngs_modulus", 51.2, "GPa", 1.1, 49.0, 53.4, note=EVIL)
    store.properties.finish(asked.key, PropertyResult((modulus,)), 12.0)
    facts |= {"structure": keys[4], "theory": theory, "property": asked.key, "sha": sha}


def _meta(store: Store) -> dict[str, Any]:
    buffer = io.BytesIO()
    rng = np.random.default_rng(0)
    np.savez(
        buffer,
        coordinates=rng.normal(size=(3, 2)),
        temperatures=np.full(3, 300.0),
        picked=np.arange(3),
    )
    return {
        "candidates": 3,
        "refused": {},
        "explained_variance": [0.6, 0.2],
        "map_blob": store.blobs.put_bytes(buffer.getvalue()),
    }


def _judgement(store: Store, error: float, rng: np.random.Generator) -> Judgement:
    label = rng.normal(size=3 * 24)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        forces=label + 1e-3 * error * rng.normal(size=len(label)),
        forces_reference=label,
        energies=np.zeros(3),
        energies_reference=np.zeros(3),
        times=np.arange(5.0),
        total_energies=np.zeros(5),
        temperatures=np.full(5, 300.0),
    )
    test = ErrorSummary(
        n_structures=3,
        n_atoms=24,
        energy_rmse=5.0,
        energy_mae=4.0,
        force_rmse=error,
        force_mae=0.8 * error,
        force_max=3 * error,
        force_rmse_by_element={"Li": error},
    )
    return Judgement(
        test,
        replace(test, force_mae=200.0),
        EnergyConservation(0.1, completed=True),
        store.blobs.put_bytes(buffer.getvalue()),
    )
