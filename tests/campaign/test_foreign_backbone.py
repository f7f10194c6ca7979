"""A campaign on a foundation model whose package cannot share FIRE's environment.

SevenNet-0 by its authors' package: its weights are in the wheel, and it needs a newer
e3nn than MACE does. Its environment is made from the package index.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
import yaml
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from fire_core.backbones.assets import load_replay
from fire_core.backbones.environments.folders import interpreter_in
from fire_core.campaign.names import FIRE, PRE_FINE_TUNED, ZERO_SHOT
from fire_core.storage.store import Store
from tests.campaign.conftest import TINY, start_campaign, write_campaign
from tests.environments import install_or_skip, models_folder, skip_unless_asked
from tests.events import wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

SEVENNET_0 = "7052cb42b7b3be42b40b97fa0d21077a48c54b5548948fc4dcf346629f813c36"
"""sha256 of the checkpoint of July 2024 in the wheel of sevenn 0.13.0."""
TRAINING = {"epochs": 3, "batch_frames": 1, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder with the environment of the package."""
    skip_unless_asked("sevenn")
    folder = models_folder(tmp_path_factory)
    install_or_skip("sevenn", folder)
    return folder


@pytest.fixture
def campaign(tmp_path: Path, models: Path, environment: dict[str, str]) -> Path:
    """A campaign's file beside its starting structure and six replay frames."""
    environment["FIRE_MODELS"] = str(models)
    salt = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    write(tmp_path / "salt.xyz", salt, format="extxyz")
    frames = []
    for item in sorted(load_replay().train, key=lambda item: len(item.atoms))[:6]:
        atoms = item.atoms.copy()
        atoms.calc = SinglePointCalculator(
            atoms, energy=item.label.energy, forces=item.label.forces
        )
        frames.append(atoms)
    write(tmp_path / "replay.xyz", frames, format="extxyz")
    training = TRAINING | {"replay": {"source": "replay.xyz", "ratio": 1.0}}
    return write_campaign(
        tmp_path,
        backbone={"name": "sevenn"},
        system={"kind": "file", "path": "salt.xyz"},
        perturb={"n": 4},
        pre_fine_tune=training,
        fine_tune=training,
        explore=TINY["explore"] | {"temperatures": [600], "steps": 24},
        select={"n": 3, "soap": {"workers": 1}, "descriptor": "mace"},
        uncertainty={"method": "last_layer", "verify": 2},
        committee={"members": 0},
        evaluate=TINY["evaluate"] | {"vanilla": False, "n": 2},
    )


def test_killed_in_its_training_it_goes_on_to_its_report(
    campaign: Path, environment: dict[str, str], models: Path
) -> None:
    folder = campaign.parent
    assert find_spec("sevenn") is None  # it is not FIRE's environment that has it
    python = str(interpreter_in(models / "environments" / "sevenn"))
    url, blobs = f"sqlite:///{folder}/.fire/fire.db", folder / ".fire" / "blobs"

    def epochs() -> int:
        if not (folder / ".fire" / "fire.db").is_file():
            return 0
        with Store.open(url, blobs) as store:
            last = store.models.last_epoch("tiny", PRE_FINE_TUNED)
            return 0 if last is None else last.epoch + 1

    with start_campaign(campaign, environment) as process:
        wait_for(lambda: epochs() > 0, process, limit_s=600)
        below = psutil.Process(process.pid).children(recursive=True)
        trains = [p for p in below if "train_worker" in " ".join(p.cmdline())]
        assert trains
        assert all(p.cmdline()[0] == python for p in trains)
        os.killpg(process.pid, signal.SIGKILL)
    wait_for(lambda: not any(p.is_running() for p in trains))  # it ends with its parent
    with start_campaign(campaign, environment) as process:
        code = process.wait(timeout=3000)
    log = (folder / "run.log").read_text()
    assert code == 0, log[-3000:]
    with Store.open(url, blobs) as store:
        row = store.campaigns.get("tiny")
        assert row is not None
        assert row.foundation_sha == SEVENNET_0
        for name in (PRE_FINE_TUNED, FIRE):
            model = store.models.need("tiny", name)
            assert model.parent_sha == SEVENNET_0
            assert store.models.last_epoch("tiny", name).epoch + 1 == TRAINING["epochs"]
        path = store.blobs.path(store.models.need("tiny", FIRE).blob_sha)
    results = json.loads((folder / "results" / "tiny" / "results.json").read_text())
    scores = {
        name: results["models"][name]["force_rmse_mev_per_angstrom"]
        for name in (ZERO_SHOT, FIRE)
    }
    assert scores[FIRE] < 0.8 * scores[ZERO_SHOT]
    assert (folder / "results" / "tiny" / "report.html").stat().st_size > 10_000
    check_its_own_package_reads_it(path, python)
    check_a_property_of_it_is_measured(folder, environment, path.name)


def check_its_own_package_reads_it(path: Path, python: str) -> None:
    """The file that FIRE trained is a checkpoint of the package, for its calculator."""
    code = (
        "import sys, numpy as np; from ase.build import bulk;"
        "from sevenn.calculator import SevenNetCalculator;"
        "from fire_core.backbones.registry import load_backbone;"
        "a = bulk('LiCl', 'rocksalt', a=5.13, cubic=True); a.rattle(0.1, seed=1);"
        "label = load_backbone('sevenn:' + sys.argv[1], device='cpu').predict([a])[0];"
        "a.calc = SevenNetCalculator(sys.argv[1], device='cpu');"
        "print(np.abs(a.get_forces() - label.forces).max(),"
        "a.get_potential_energy() - label.energy,"
        "np.abs(a.get_stress() - label.stress).max())"
    )
    done = subprocess.run(
        [python, "-P", "-W", "ignore", "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    differences = np.array(done.stdout.splitlines()[-1].split(), float)
    forces, energy, stress = np.abs(differences)
    assert max(forces, stress) < 2e-5
    assert energy < 8 * 2e-5  # of eight atoms; the package adds in single precision


def check_a_property_of_it_is_measured(
    folder: Path, environment: dict[str, str], sha: str
) -> None:
    """The campaign's model, by its name, in an environment that is not FIRE's."""
    request = {
        "name": "salt",
        "threads": 1,
        "system": {"kind": "crystal", "crystal": "LiCl"},
        "backbone": {"name": f"tiny/{FIRE}"},
        "measure": {
            "kind": "equation_of_state",
            "points": 5,
            "relax": False,
            "force_tolerance": 0.05,
        },
    }
    (folder / "salt.yaml").write_text(yaml.safe_dump(request))
    command = [sys.executable, "-P", "-m", "cli.main", "properties", "run", "--json"]
    done = subprocess.run(
        [*command, "salt.yaml"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    facts = json.loads(done.stdout.splitlines()[-1])
    assert (facts["subject"], facts["subject_sha"]) == (f"tiny/{FIRE}", sha)
    values = {v["name"]: v["value"] for v in facts["result"]["values"]}
    assert 14 < values["volume"] < 20  # Å³/atom; 17.0 by PBE
    assert 10 < values["bulk_modulus"] < 80  # GPa; 32 measured


def test_without_its_environment_nothing_is_started(
    campaign: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    environment["FIRE_MODELS"] = str(tmp_path / "none")
    for words in (("config", "check"), ("campaign", "run")):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "cli.main", *words, campaign.name],
            cwd=campaign.parent,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "`fire backbone install sevenn`" in done.stderr
        assert "Traceback" not in done.stderr
    assert not (campaign.parent / ".fire").exists()
