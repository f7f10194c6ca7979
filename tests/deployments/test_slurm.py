"""Labels in a job of a real Slurm: a code of two ranks, a worker queued again."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from ase.build import bulk

from benchmarks.postgres import missing_programs
from benchmarks.service import Service
from fire_core.config.campaign import CampaignConfig
from fire_core.config.dft import EspressoTheory
from fire_core.config.load import config_to_json
from fire_core.labelling.theory import theory_from_config
from fire_core.records import LabelState
from fire_core.storage.selections import SelectionRow
from fire_core.storage.store import Store
from tests.campaign.conftest import TINY
from tests.deployments.conftest import ROOT
from tests.deployments.slurm import Slurm, missing_slurm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

THEORY = EspressoTheory(
    k_spacing=1.5, cutoff=20.0, density_cutoff=80.0, scf_tolerance=1e-8
)
N = 4
PATIENCE_S = 300.0


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    absent = missing_slurm()
    if absent is None and shutil.which("pw.x") is None:
        absent = "pw.x is not here: apt install quantum-espresso"
    if absent is not None:
        pytest.skip(absent)
    with Slurm() as running:
        yield running


def until(holds: Any, why: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, why()
        time.sleep(0.5)


def fill(store: Store, config: CampaignConfig) -> list[str]:
    """Choose `N` distorted AlP cells to label."""
    store.campaigns.open(config.name, config_to_json(config))
    frames = []
    for seed in range(N):
        atoms = bulk("AlP", "zincblende", a=5.5)
        atoms.rattle(0.05, seed=seed)
        frames.append(atoms)
    keys = store.structures.add(frames, source="test")
    store.selections.save(config.name, 0, "perturb", SelectionRow("test", keys))
    return keys


def test_a_worker_in_a_job_labels_and_is_queued_again(
    slurm: Slurm, tmp_path: Path
) -> None:
    """The repository's own script; the code runs as two ranks of the job's one task."""
    absent = missing_programs()
    if absent is not None:
        pytest.skip(absent)
    with Service(tmp_path / "service", workers={}) as service:
        where = {"url": service.db, "blobs": str(service.blobs)}
        label = {"workers": 1, "cores": 2, "batch": N}
        given = TINY | {"name": "queued", "theory": THEORY, "label": label}
        config = CampaignConfig.model_validate(given | {"store": where})
        fingerprint = theory_from_config(THEORY).fingerprint
        variables = service.environment | {"OMPI_ALLOW_RUN_AS_ROOT": "1"}
        variables |= {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        (tmp_path / "worker.env").write_text(
            f"export FIRE_BLOBS={service.blobs} FIRE_RESULTS={tmp_path}/results\n"
        )
        variables |= {"FIRE_ENVIRONMENT": str(tmp_path / "worker.env")}
        variables |= {"FIRE_VENV": sys.prefix, "FIRE_CHECKOUT": str(ROOT)}
        with Store.open(service.db, service.blobs) as store:
            keys = fill(store, config)
            script = ROOT / "deployments" / "slurm" / "fire-worker.sbatch"
            options = ["--array=0", "--mem=1G", "--cpus-per-task=2", "--parsable"]
            options += [f"--output={tmp_path}/job.log"]
            job = slurm.run("sbatch", *options, str(script), **variables).strip()

            def log() -> str:
                path = tmp_path / "job.log"
                return (
                    path.read_text()[-3000:] if path.exists() else slurm.run("squeue")
                )

            run = start_labels(service, config)
            until(lambda: service.state(run)[0] in {"COMPLETED", "FAILED"}, log)
            assert service.state(run)[0] == "COMPLETED", log()
            rows = store.labels.rows(fingerprint, keys)
            assert [row.state for row in rows] == [LabelState.DONE] * N, rows
            energies = [
                label.energy for label in store.labels.get(keys, fingerprint).values()
            ]
            assert len(set(energies)) == N

            slurm.run("scancel", "--batch", "--signal=USR1", f"{job}_0")
            until(lambda: slurm.show(f"{job}_0")["Restarts"] == "1", log)
            slurm.run("scancel", job)


def start_labels(service: Service, config: CampaignConfig) -> str:
    deployment = service.request("GET", "deployments/name/fire-label/label")
    ref = {"name": config.name, "db": config.store.url, "blobs": config.store.blobs}
    parameters = {"ref": ref, "round_": 0, "purpose": "perturb"}
    path = f"deployments/{deployment['id']}/create_flow_run"
    run = service.request("POST", path, {"parameters": parameters})
    return str(run["id"])
