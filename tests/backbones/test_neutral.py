"""Neutral weights: the file itself, and MACE networks built again from it alone."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fire_core.backbones.mace import import_mace, load_mace, read_model
from fire_core.backbones.mace_graphs import predict_graphs, to_graph
from fire_core.backbones.mace_neutral import mace_from_neutral, mace_to_neutral
from fire_core.backbones.neutral import (
    NeutralModel,
    is_neutral,
    pack_neutral,
    read_neutral,
)
from fire_core.backbones.repeatable import repeatable
from fire_core.backbones.torch_types import default_dtype
from fire_core.config.training import TrainConfig
from fire_core.errors import BackboneError
from tests.models import load_mini
from tests.training.conftest import labelled, make_backbone, rattled

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = (3, 9, 17)
VARIANTS: dict[str, dict[str, Any]] = {
    "vectors": {},
    "plain": {"kind": "MACE"},
    "two heads": {"heads": ["pretraining", "target"]},
    "plain, two heads": {"kind": "MACE", "heads": ["pretraining", "target"]},
    "one layer": {"num_interactions": 1},
    "repulsion": {
        "distance_transform": "Agnesi",
        "pair_repulsion": True,
        "radial_type": "gaussian",
    },
    "density": {"block": "RealAgnosticDensityResidualInteractionBlock"},
    "orders": {"correlation": [3, 1]},
    "vectors to the end": {"keep_last_layer_irreps": True},
    "tanh": {"gate": "tanh", "MLP_irreps": "5x0e"},
    "last readout": {"use_last_readout_only": True},
}


def make_model(
    *,
    kind: str = "ScaleShiftMACE",
    heads: list[str] | None = None,
    block: str = "RealAgnosticResidualInteractionBlock",
    gate: str = "silu",
    MLP_irreps: str = "8x0e",
    **settings: Any,
) -> Any:
    """A small random network in double precision."""
    import_mace()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from e3nn import o3
        from mace import modules

        n_heads = len(heads or ["Default"])
        energies = np.array([[-1.0, -2.0, -3.0]]) + np.arange(n_heads)[:, None] / 3
        arguments: dict[str, Any] = {
            "r_max": 4.1,
            "num_bessel": 6,
            "num_polynomial_cutoff": 5,
            "max_ell": 2,
            "interaction_cls": modules.interaction_classes[block],
            "interaction_cls_first": modules.interaction_classes[block],
            "num_interactions": 2,
            "num_elements": 3,
            "hidden_irreps": o3.Irreps("8x0e+8x1o"),
            "MLP_irreps": o3.Irreps(MLP_irreps),
            "gate": modules.gate_dict[gate],
            "atomic_energies": energies,
            "avg_num_neighbors": 11.7,
            "atomic_numbers": list(NUMBERS),
            "correlation": 2,
            "radial_type": "bessel",
            "radial_MLP": [16, 16],
            "heads": heads,
        }
        if kind == "ScaleShiftMACE":
            arguments["atomic_inter_scale"] = [0.5 + 0.1 * i for i in range(n_heads)]
            arguments["atomic_inter_shift"] = [0.1 * i for i in range(n_heads)]
        with torch.random.fork_rng(), default_dtype(torch.float64):
            torch.manual_seed(3)
            return getattr(modules, kind)(**(arguments | settings)).eval()


def predictions(model: Any, head: int) -> list[np.ndarray]:
    import torch

    cutoff = float(model.r_max)
    graphs = [
        to_graph(a, numbers=NUMBERS, cutoff=cutoff, dtype=torch.float64, head=head)
        for a in rattled("LiF", 2, 1)
    ]
    device = torch.device("cpu")
    with repeatable(device):
        labels = predict_graphs(model, graphs, device)
    return [np.array([x.energy, *x.forces.ravel(), *x.stress]) for x in labels]


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=list(VARIANTS))
def test_a_network_built_again_is_the_same_to_the_last_bit(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    model = make_model(**settings)
    path = tmp_path / "model.safetensors"
    path.write_bytes(pack_neutral(mace_to_neutral(model)))
    again = read_model(path)
    assert type(again) is type(model)
    assert again.heads == model.heads
    for head in range(len(model.heads)):
        for one, two in zip(
            predictions(model, head), predictions(again, head), strict=True
        ):
            assert np.array_equal(one, two)
    assert pack_neutral(mace_to_neutral(again)) == path.read_bytes()
    if len(model.heads) > 1:
        first, last = (np.array(predictions(again, head)) for head in (0, 1))
        assert np.abs(first - last).max() > 1e-3


def test_equal_models_have_equal_files_and_other_weights_another() -> None:
    model = make_model()
    files = {pack_neutral(mace_to_neutral(model)) for _ in range(6)}
    assert len(files) == 1
    next(model.parameters()).data += 0.1
    assert pack_neutral(mace_to_neutral(model)) not in files


def test_a_backbone_is_kept_in_its_own_type_whatever_it_computes_in() -> None:
    import torch

    single, double = load_mini("float32").neutral(), load_mini("float64").neutral()
    assert pack_neutral(single) == pack_neutral(double)
    assert double.hyperparameters["dtype"] == "float32"
    own = make_backbone(dtype="float64").neutral()  # drawn in double precision
    assert own.tensors["atomic_energies_fn.atomic_energies"].dtype == torch.float64


def test_the_first_head_that_is_not_of_the_pre_training_is_taken(
    tmp_path: Path,
) -> None:
    model = make_model(heads=["pt_head", "target"])
    path = tmp_path / "model.safetensors"
    path.write_bytes(pack_neutral(mace_to_neutral(model)))
    backbone = load_mace(path, name="two", device="cpu", dtype="float64")
    expected = [row[0] for row in predictions(model, 1)]
    found = [label.energy for label in backbone.predict(rattled("LiF", 2, 1))]
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "settings",
    [
        {"strategy": "naive"},
        {"strategy": "scratch"},
        {"strategy": "multihead_replay"},
        {"strategy": "replay", "lora": {"rank": 2}},
    ],
    ids=lambda settings: settings["strategy"],
)
def test_what_every_strategy_leaves_has_a_neutral_form(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    backbone = make_backbone(dtype="float64", hidden="8x0e+8x1o")
    config = TrainConfig.model_validate(settings)
    network = backbone.network(config, labelled(rattled("LiF", 2, 1)), seed=1)
    weights = [
        p.detach() + 1e-2 for p in network.module.parameters() if p.requires_grad
    ]
    (tmp_path / "own").write_bytes(network.export(weights, {"F": 2.0}))
    own = backbone.reload(tmp_path / "own")
    (tmp_path / "neutral").write_bytes(pack_neutral(own.neutral()))
    again = backbone.reload(tmp_path / "neutral")
    with repeatable(backbone.device):
        one, two = (m.predict(rattled("LiF", 2, 3)) for m in (own, again))
    for a, b in zip(one, two, strict=True):
        assert a.energy == b.energy
        assert np.array_equal(a.forces, b.forces)
        assert np.array_equal(a.stress, b.stress)


READER = """
import json, pickle, sys
import torch

def refuse(*_, **__):
    raise AssertionError("something is unpickled")

from fire_core.backbones.mace import import_mace
from fire_core.backbones.registry import load_backbone
from tests.training.conftest import rattled
import_mace()  # e3nn reads a table of its own
torch.load = refuse
pickle.load = pickle.loads = refuse
pickle.Unpickler = pickle._Unpickler = refuse
backbone = load_backbone(sys.argv[1], device="cpu", dtype="float64", threads=1)
labels = backbone.predict(rattled("LiF", 2, 1))
print(json.dumps([[x.energy, *x.forces.ravel().tolist()] for x in labels]))
"""


def test_another_process_reads_it_without_unpickling_anything(tmp_path: Path) -> None:
    mini = load_mini()
    path = tmp_path / "kept.safetensors"
    path.write_bytes(pack_neutral(mini.neutral()))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READER, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    expected = mini.predict(rattled("LiF", 2, 1))
    for row, label in zip(found, expected, strict=True):
        # the two processes optimise TorchScript after different numbers of calls
        assert row[0] == pytest.approx(label.energy, abs=1e-12, rel=1e-15)
        assert np.allclose(row[1:], label.forces.ravel(), rtol=0, atol=1e-12)


def test_a_file_is_recognised_by_its_name_or_its_bytes(tmp_path: Path) -> None:
    data = pack_neutral(NeutralModel("mace", {}, {}))
    for name, content, expected in (
        ("a.safetensors", b"", True),
        ("blob", data, True),
        ("model", b"PK\x03\x04 a zip archive of torch", False),
        ("old", b"\x80\x02}q\x00(X", False),
        ("short", b"", False),
    ):
        (tmp_path / name).write_bytes(content)
        assert is_neutral(tmp_path / name) is expected
    assert not is_neutral(tmp_path / "missing")
    assert not is_neutral(tmp_path)


def test_what_cannot_be_read_says_what_was_expected(tmp_path: Path) -> None:
    from safetensors.numpy import save

    path = tmp_path / "model.safetensors"
    path.write_bytes(b"not tensors")
    with pytest.raises(BackboneError, match="expected a file of neutral weights"):
        read_neutral(path)
    path.write_bytes(save({"a": np.zeros(3)}))
    with pytest.raises(BackboneError, match="does not say of which model"):
        read_neutral(path)
    path.write_bytes(pack_neutral(NeutralModel("chgnet", {}, {})))
    with pytest.raises(BackboneError, match=r"expected a model of mace.*is chgnet"):
        load_mace(path, name="x", device="cpu", dtype="float64")


def test_a_model_of_another_release_names_it(tmp_path: Path) -> None:
    kept = mace_to_neutral(make_model())
    changed = dict(kept.hyperparameters)
    changed["arguments"] = changed["arguments"] | {"of_a_later_release": 1}
    notice = {"library": "mace-torch 0.3.99"}
    with pytest.raises(BackboneError, match=r"pip install 'mace-torch==0\.3\.99'"):
        mace_from_neutral(NeutralModel("mace", changed, kept.tensors, notice))
    missing = {k: v for k, v in kept.tensors.items() if "products" not in k}
    with pytest.raises(BackboneError, match="cannot build this model"):
        mace_from_neutral(NeutralModel("mace", kept.hyperparameters, missing))


def test_a_model_without_a_neutral_form_is_refused() -> None:
    import torch

    with pytest.raises(BackboneError, match="got a Linear, which has no neutral form"):
        mace_to_neutral(torch.nn.Linear(1, 1))
    model = make_model()
    model.interactions[0].avg_num_neighbors = torch.zeros(2)
    with pytest.raises(BackboneError, match="cannot be described"):
        mace_to_neutral(model)
