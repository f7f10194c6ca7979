"""Use what the package adds, by name; print what came of it as JSON."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk

from fire_core.config import open_sets
from fire_core.config.load import config_schema, config_to_json, load_campaign
from fire_core.errors import ConfigError, LabellingError

before = [name for name in sys.modules if name.startswith("fire_plugin_example")]
config = load_campaign(Path(sys.argv[1]))
again = type(config).model_validate_json(config_to_json(config))
schema = config_schema()
parts = schema["$defs"]

wrong = Path(sys.argv[1]).with_name("wrong.yaml")
text = Path(sys.argv[1]).read_text()
wrong.write_text(text.replace("depth", "dept").replace("force: 2.5", "force: -1"))
try:
    load_campaign(wrong)
except ConfigError as error:
    misspelt = str(error)

from fire_core.backbones.registry import (  # noqa: E402 - after `before`
    FAMILIES,
    load_backbone,
    package_of,
)
from fire_core.backbones.trainable import need_trainable  # noqa: E402
from fire_core.evaluation.gates.run import run_gates  # noqa: E402
from fire_core.labelling.makers import run_label  # noqa: E402
from fire_core.labelling.theory import theory_from_config  # noqa: E402
from fire_core.selection.selectors import select  # noqa: E402
from fire_core.testing.gates import Spoilt, sound_data  # noqa: E402

folder = Path(tempfile.mkdtemp())
label = run_label(
    config.theory, bulk("LiCl", "rocksalt", a=5.1, cubic=True), workdir=folder
)
try:
    run_label(config.theory, Atoms("Li", cell=[20] * 3), workdir=folder)
except LabellingError as error:
    failure = [str(error.kind), error.reason]
picks = select(
    np.random.default_rng(0).normal(size=(50, 3)),
    config.select.model_copy(update={"n": 5}),
    rng_seed=0,
)
from fire_core.campaign.steps.properties import (  # noqa: E402
    measure_property,
    read_measurement,
    register_property,
    write_property,
)
from fire_core.properties.kinds import KINDS  # noqa: E402
from fire_core.properties.load import parse_property, property_schema  # noqa: E402

request = parse_property(
    {
        "name": "licl-cohesion",
        "threads": 1,
        "system": {"kind": "crystal", "crystal": "LiCl"},
        "measure": {"kind": "cohesive_energy", "box": 10},
        "store": {"url": f"sqlite:///{folder}/a.db", "blobs": f"{folder}/blobs"},
    }
)
ref = register_property(request)
measured = measure_property(ref, lambda _: None)
stored = read_measurement(ref)
said: list[str] = []
measure_property(ref, said.append)
drawn = [f.png.name for f in write_property(stored, folder / "results")]
variants = property_schema()["properties"]["measure"]["discriminator"]["mapping"]
backbone, data = sound_data()
spoilt = Spoilt(backbone, lambda _, x: replace(x, forces=x.forces + 0.1))
salt = bulk("LiF", "rocksalt", a=4.6, cubic=True)
pair = need_trainable(load_backbone("pair", device="cpu", dtype="float64"))
pair.save(folder / "pair")
again_pair = load_backbone(f"pair:{folder / 'pair'}", device="cpu", dtype="float64")
required = config.evaluate.gates.required
sound = run_gates(backbone, data, config.evaluate, gates=required)
refused = run_gates(spoilt, data, config.evaluate, gates=["net_force"])
gates = parts["GatesConfig"]["properties"]["required"]
json.dump(
    {
        "imported_early": before,
        "labellers": open_sets.LABELLERS.names(),
        "selectors": open_sets.SELECTORS.names(),
        "gates": open_sets.GATES.names(),
        "backbones": FAMILIES.names(),
        "packages": [package_of(name) for name in ("argon", "pair")],
        "loaded_again": pair.predict([salt])[0].energy
        == again_pair.predict([salt])[0].energy,
        "theory": config.theory.model_dump(),
        "round_trip": again == config,
        "in_schema": [
            parts["MorseTheory"]["properties"]["depth"]["description"],
            "outermost" in parts["SelectConfig"]["properties"]["method"]["enum"],
            "net_force" in gates["items"]["enum"],
        ],
        "default_gates": gates["default"],
        "misspelt": misspelt,
        "fingerprint": theory_from_config(config.theory).fingerprint,
        "described": theory_from_config(config.theory).describe(),
        "energy": label.energy,
        "failure": failure,
        "picks": len(picks),
        "kinds": KINDS.names(),
        "property_variant": variants["cohesive_energy"],
        "cohesive_energy": [(v.name, v.unit) for v in measured.values],
        "property_is_stored": stored.need_result() == measured,
        "property_asked_again": said,
        "property_figures": drawn,
        "verdicts": {r.name: r.passed for r in sound},
        "limits": [r.limit for r in sound],
        "refused": {r.name: r.passed for r in refused},
    },
    sys.stdout,
)
