"""Make `store_0006.tar.xz`: a small store as FIRE at schema 0006 left it.

Run it with the code of that time, once:

    git worktree add /tmp/then d1706ae
    cd /tmp/then && PYTHONPATH=. python .../make_store_0006.py FOLDER store_0006.tar.xz

Labels are xTB's; the foundation model is a MACE of 8 channels, trained here for a
moment, so that the models are small. See README.md beside this file for what is inside.
"""

from __future__ import annotations

import io
import json
import os
import sqlite3
import sys
import tarfile
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
THEN = "/then"
"""Stands for the folder in what is packed."""
URL, BLOBS = f"sqlite:///{FOLDER}/fire.db", f"{FOLDER}/blobs"
RESULTS = f"{FOLDER}/results"
os.environ |= {"OMP_NUM_THREADS": "1", "FIRE_DB": URL, "FIRE_BLOBS": BLOBS}
REPLAY = {"source": f"{FOLDER}/replay.extxyz"}
SAME: dict[str, Any] = {
    "seed": 3,
    "threads": 1,
    "store": {"url": URL, "blobs": BLOBS},
    "system": {
        "kind": "interface",
        "bottom": {"crystal": "LiF", "miller": [0, 0, 1], "layers": 2},
        "top": {"crystal": "LiCl", "miller": [0, 0, 1], "layers": 2},
        "max_strain": 0.35,
        "min_atoms": 8,
        "max_atoms": 24,
    },
    "backbone": {"name": f"{FOLDER}/foundation.model", "device": "cpu"},
    "label": {"workers": 1, "batch": 2, "lease": 4},
    "perturb": {"n": 6},
    "pre_fine_tune": {
        "epochs": 6,
        "devices": 1,
        "replay": REPLAY,
        "references": {"method": "isolated_atoms"},
    },
    "fine_tune": {
        "epochs": 3,
        "valid_fraction": 0.3,
        "warm_start": True,
        "replay": REPLAY,
        "references": {"method": "isolated_atoms"},
    },
    "explore": {
        "temperatures": [100, 200],
        "replicas": 2,
        "steps": 40,
        "save_every": 4,
        "segment": 20,
        "guards": {"max_uncertainty": 50.0},
    },
    "select": {"n": 4, "soap": {"workers": 1, "average": "species_region"}},
    "committee": {"members": 2, "fraction": 0.7, "parallel": 1},
    "uncertainty": {
        "method": "committee",
        "frames": 12,
        "trust": {"target": 1.0, "focus": 0.5, "high": 20000},
        "verify": 1,
        "min_gain": 0.0,
    },
    "evaluate": {
        "dynamics": {
            "temperatures": [150],
            "replicas": 1,
            "steps": 24,
            "save_every": 4,
            "segment": 12,
        },
        "n": 3,
        "stability": {"steps": 10},
    },
}
FINISHED = SAME | {
    "name": "finished",
    "rounds": 2,
    "results": f"{RESULTS}/finished",
}
STOPPED = SAME | {"name": "stopped", "seed": 4, "results": f"{RESULTS}/stopped"}


class StoppedHereError(Exception):
    """Ends the campaign that is left unfinished."""


def make_inputs() -> None:
    """Write a foundation model of 8 channels, and what it rehearses."""
    from fire_core.config.training import TrainConfig
    from fire_core.training.data import TrainingData
    from fire_core.training.trainer import fine_tune
    from tests.study.conftest import write_frames
    from tests.training.conftest import labelled, make_backbone, rattled

    frames = rattled("LiF", 24, 1) + rattled("LiCl", 24, 2)
    rehearsed = rattled("LiF", 6, 3) + rattled("LiCl", 6, 4)
    data = TrainingData(labelled(frames), labelled(rattled("LiF", 4, 7)), [], [])
    config = TrainConfig(strategy="naive", epochs=40, learning_rate=0.01)
    made = fine_tune(make_backbone(), data, config, seed=1)
    Path("foundation.model").write_bytes(made.model)
    write_frames(Path("replay.extxyz"), labelled(rehearsed))


def run_finished() -> None:
    """Run a campaign to its report, check and promote its model, doubt it again."""
    from ase.build import bulk

    from fire_core.config.campaign import CampaignConfig
    from fire_core.errors import GateError
    from fire_core.records import Decided
    from fire_core.storage.actions import Action
    from fire_core.storage.store import Store
    from flows.campaign import campaign_flow
    from flows.regression import regression_flow
    from tasks.context import CampaignRef
    from tasks.gates import check_gates
    from tasks.label import theory_fingerprint

    config = CampaignConfig.model_validate(FINISHED)
    campaign_flow(config)
    ref = CampaignRef(name="finished", db=URL, blobs=BLOBS)
    gates = check_gates(ref, "fire-2")
    with Store.open(ref.db, ref.blobs) as store:
        store.promote_model("finished", "fire-2", "production", gates, required=())
        store.ask_approval("finished", 1, "selected", 4, '{"core_hours": 0.1}')
        store.decide_approval("finished", 1, "selected", Decided(None, "ann", "fine"))
        store.record_action(Action("ann", "approver", "approve", "finished"))
        theory = theory_fingerprint(store, config)
        atoms = bulk("LiF", "rocksalt", a=4.1, cubic=True)
        atoms.rattle(0.05, seed=9)
        label_alone(store, config, [atoms], theory)
    try:
        regression_flow(["finished"])
    except GateError as error:
        print(error)


def label_alone(store: Any, config: Any, frames: list[Any], theory: str) -> None:
    """Add labels that no campaign chose."""
    from fire_core.labelling.makers import run_label

    keys = store.add_structures(frames, source="by hand")
    labels = [run_label(config.theory, atoms, workdir=Path("work")) for atoms in frames]
    store.add_labels(dict(zip(keys, labels, strict=True)), theory)


def run_stopped() -> None:
    """Run a campaign until it has two labels of its choice, and one in a dead hand."""
    import flows.campaign as module
    from fire_core.config.campaign import CampaignConfig
    from fire_core.labelling.makers import run_label
    from fire_core.storage.claims import Finished, LeaseTerms
    from fire_core.storage.label_queries import Choice
    from fire_core.storage.store import Store
    from tasks.label import theory_fingerprint

    config = CampaignConfig.model_validate(STOPPED)
    label = module._label

    def stop(ref: Any, config: Any, round_: int, purpose: str) -> Any:
        if purpose == "selected":
            raise StoppedHereError
        return label(ref, config, round_, purpose)

    module._label = stop
    try:
        module.campaign_flow(config)
    except StoppedHereError:
        pass
    finally:
        module._label = label
    with Store.open(URL, BLOBS) as store:
        theory = theory_fingerprint(store, config)
        chosen = store.get_selection("stopped", 1, "selected")
        store.want_labels(chosen.keys, theory)
        choice = Choice("stopped", 1, "selected")
        terms = LeaseTerms(lease_s=1.0, max_attempts=3)
        taken = store.claim_labels(theory, "gone", terms=terms, limit=3, choice=choice)
        for claim in taken[:2]:
            (atoms,) = store.get_structures([claim.key])
            found = run_label(config.theory, atoms, workdir=Path("work"))
            store.finish_labels([Finished(claim.label_id, found, 1.0)], "gone")


def run_study() -> None:
    """Run a study of two cells that train and two that diverge."""
    import yaml

    from fire_core.config.load import load_study
    from flows.study import study_flow
    from tests.study.conftest import write_study

    broken = {"strategy": "naive", "learning_rate": 1e30}
    variants = {"naive": {"strategy": "naive"}, "broken": broken}
    path = write_study(FOLDER / "study", variants=variants, sizes=[4], seeds=[0, 1])
    raw = yaml.safe_load(path.read_text())
    raw["store"] = {"url": URL, "blobs": BLOBS}
    raw["results"] = f"{RESULTS}/study"
    path.write_text(yaml.safe_dump(raw))
    try:
        study_flow(load_study(path))
    except Exception as error:  # noqa: BLE001 - cells that diverge are meant to
        print(error)


def add_property() -> None:
    """Enter a finished measurement with a part."""
    from fire_core.records import PropertyResult, PropertyValue
    from fire_core.storage.properties import PropertyAsked
    from fire_core.storage.store import Store

    with Store.open(URL, BLOBS) as store:
        model = store.need_model("finished", "fire-2")
        start = store.get_selection("finished", 0, "start")
        asked = PropertyAsked(
            key="a" * 64, name="lif-density", work="b" * 64, kind="density",
            subject="fire-2 of finished", subject_sha=model.blob_sha,
            structure=start.keys[0], formula="LiF|LiCl", request_json="{}",
        )  # fmt: skip
        store.open_property(asked)
        store.save_part(asked.key, "dynamics-0", b"a part")
        value = PropertyValue("density", 2.1, "g/cm³", error=0.1)
        store.finish_property(asked.key, PropertyResult((value,)), 3.0)


def pack(target: Path) -> None:
    """Write the database as SQL, and the files, into one archive."""
    with sqlite3.connect("fire.db") as connection:
        dump = "\n".join(connection.iterdump()) + "\n"
    kept = [Path("foundation.model"), Path("replay.extxyz")]
    kept += sorted(p for name in ("blobs", "study") for p in Path(name).rglob("*"))
    with tarfile.open(target, "w:xz", preset=9) as archive:
        data = dump.replace(os.fspath(FOLDER), THEN).encode()
        entry = tarfile.TarInfo("fire.sql")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
        for path in kept:
            if path.is_file() and path.suffix != ".yaml":
                archive.add(path, filter=_plain)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def main() -> None:
    """Make the archive."""
    from prefect.testing.utilities import prefect_test_harness

    target = Path(sys.argv[2]).resolve()
    FOLDER.mkdir(parents=True, exist_ok=True)
    os.chdir(FOLDER)  # noqa: TID251 - steps leave their files where they run
    if not Path("foundation.model").exists():
        make_inputs()
    with prefect_test_harness(server_startup_timeout=120):
        run_finished()
        run_stopped()
        run_study()
    add_property()
    pack(target)
    print(json.dumps({"bytes": target.stat().st_size}))


if __name__ == "__main__":
    main()
