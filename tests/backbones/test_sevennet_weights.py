"""SevenNet's published weights: brought, read safely, and equal to the package's."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch  # noqa: TID253 - a checkpoint is made of its tensors
from ase import Atoms

from fire_core.backbones.registry import load_backbone
from fire_core.backbones.sevennet_checkpoint import (
    checkpoint_to_neutral,
    read_checkpoint,
)
from fire_core.backbones.sevennet_install import (
    PACKAGE,
    PUBLISHED,
    WHEEL,
    install_sevennet,
    installed_path,
)
from fire_core.backbones.sevennet_weights import couplings, from_neutral
from fire_core.errors import BackboneError
from fire_core.files import file_sha256
from fire_core.testing.backbones import BackboneContract

if TYPE_CHECKING:
    from fire_core.backbones.sevennet import SevennetBackbone

DATA = Path(__file__).parent / "data"
FRAMES = "sevennet_frames.json"


def reference_frames() -> list[Atoms]:
    frames = json.loads((DATA / FRAMES).read_text())["frames"]
    return [Atoms(**frame) for frame in frames]


def need_weights(name: str, dtype: str) -> Any:
    """Return an installed model, or skip."""
    if not installed_path(name).is_file():
        pytest.skip(f"the weights are not here: fire backbone install {name}")
    return load_backbone(name, device="cpu", dtype=dtype, threads=1)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize(("dtype", "rounding"), [("float64", 1e-10), ("float32", 1e-5)])
def test_it_is_the_package_to_rounding(name: str, dtype: str, rounding: float) -> None:
    """The numbers were made by benchmarks/sevennet_peer.py with e3nn 0.6.0."""
    backbone = need_weights(name, dtype)
    expected = json.loads((DATA / f"{name}.json").read_text())
    for found, theirs in zip(
        backbone.predict(reference_frames()), expected, strict=True
    ):
        assert found.energy == pytest.approx(theirs["energy"], abs=rounding)
        assert np.allclose(found.forces, theirs["forces"], rtol=0, atol=rounding)
        assert np.allclose(found.stress, theirs["stress"], rtol=0, atol=rounding)


@pytest.fixture(scope="module")
def sevennet_0() -> SevennetBackbone:
    return need_weights("sevennet-0", "float64")


class TestSevennet0(BackboneContract):
    step = 1e-4

    @pytest.fixture
    def backbone(self, sevennet_0: SevennetBackbone) -> SevennetBackbone:
        return sevennet_0

    @pytest.fixture
    def atoms(self) -> Atoms:
        return reference_frames()[0]


def test_the_published_file_has_its_size_and_its_licence() -> None:
    model = need_weights("sevennet-0", "float32")
    assert sum(p.numel() for p in model.model.parameters()) == 842_440
    assert "MIT License" in model.notice["licence"]
    assert len(model.elements) == 89
    path = installed_path("sevennet-0")
    assert file_sha256(path) == PUBLISHED["sevennet-0"].sha256


@pytest.mark.long
def test_the_package_itself_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fetches package and weights, installs and asks both."""
    folder = tmp_path / "package"
    packages = [PACKAGE, "e3nn==0.6.0", "torch_geometric==2.7.0", "xxhash==3.6.0"]
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet"]
    done = subprocess.run(
        [*pip, "--target", folder, *packages, "braceexpand==0.1.7"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"the package index is not reached: {done.stderr[-200:]}")
    answer = subprocess.run(
        [sys.executable, "benchmarks/sevennet_peer.py", "model=sevennet-0"],
        input=(DATA / FRAMES).read_text(),
        env={**os.environ, "PYTHONPATH": str(folder)},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    monkeypatch.setenv("FIRE_MODELS", str(tmp_path / "models"))
    path = install_sevennet("sevennet-0")
    assert file_sha256(path) == PUBLISHED["sevennet-0"].sha256
    found = need_weights("sevennet-0", "float64").predict(reference_frames())
    for ours, theirs in zip(found, json.loads(answer.stdout), strict=True):
        assert ours.energy == pytest.approx(theirs["energy"], abs=1e-10)
        assert np.allclose(ours.forces, theirs["forces"], rtol=0, atol=1e-10)
        assert np.allclose(ours.stress, theirs["stress"], rtol=0, atol=1e-10)


def test_a_model_that_is_not_here_says_how_it_is_brought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRE_MODELS", str(tmp_path))
    with pytest.raises(BackboneError, match="fire backbone install sevennet-0"):
        load_backbone("sevennet-0", device="cpu")
    with pytest.raises(BackboneError, match=r"unknown model .*expected one of seven"):
        install_sevennet("sevennet-9")


def test_weights_are_kept_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FIRE_MODELS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    expected = tmp_path / "fire" / "models" / "sevennet-0.safetensors"
    assert installed_path("sevennet-0") == expected
    monkeypatch.setenv("FIRE_MODELS", str(tmp_path / "here"))
    assert installed_path("sevennet-0") == tmp_path / "here" / "sevennet-0.safetensors"


def test_without_an_index_the_way_by_hand_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real pip, told that there is no index."""
    monkeypatch.setenv("FIRE_MODELS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(BackboneError, match=r"cannot be fetched.*--wheel"):
        install_sevennet("sevennet-0")
    assert list(tmp_path.iterdir()) == []


def test_another_wheel_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRE_MODELS", str(tmp_path / "models"))
    wheel = tmp_path / WHEEL
    wheel.write_bytes(b"PK")
    with pytest.raises(BackboneError, match=r"expected the wheel .* with sha256"):
        install_sevennet("sevennet-0", wheel=wheel)
    with pytest.raises(BackboneError, match="with no file"):
        install_sevennet("sevennet-0", wheel=tmp_path / "nothing.whl")
    assert not (tmp_path / "models").exists()


class Harmful:
    """What a pickle would run where nobody restricts it."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("harm",)


def test_a_checkpoint_that_runs_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    torch.save({"config": Harmful()}, buffer)
    with pytest.raises(BackboneError, match="read safely"):
        read_checkpoint(buffer.getvalue())
    with pytest.raises(BackboneError, match="read safely"):
        read_checkpoint(pickle.dumps({"a": 1}, protocol=2))
    assert not (tmp_path / "harm").exists()


def old_checkpoint(**changes: Any) -> dict[str, Any]:
    """Return a checkpoint as the package 0.9 wrote it, small and with random weights.

    Its weights of paths stand in the order in which the package found them.
    """
    rng = torch.Generator().manual_seed(7)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=rng)

    state = {
        "edge_embedding.basis_function.coeffs": torch.arange(1, 9) * np.pi / 4,
        "onehot_to_feature_x.linear.weight": draw(2 * 4),
        "0_self_connection_intro.linear.weight": draw(4 * 6),
        "0_self_interaction_1.linear.weight": draw(4 * 4),
        "0_self_interaction_2.linear.weight": draw(4 * 6 + 4 * 2),
        "0_convolution.weight_nn.layer1.weight": draw(5, 8),
        "1_self_connection_intro.linear.weight": draw(4 * 4),
        "1_self_interaction_1.linear.weight": draw(4 * 4 + 2 * 2),
        "1_self_interaction_2.linear.weight": draw(6 * 4),
        "1_convolution.weight_nn.layer1.weight": draw(5, 6),
        "reduce_input_to_hidden.linear.weight": draw(4 * 2),
        "reduce_hidden_to_energy.linear.weight": draw(2),
        "rescale_atomic_energy.shift": torch.tensor([-1.0, -2.0]),
        "rescale_atomic_energy.scale": torch.tensor([1.5, 1.5]),
    }
    for i in range(2):
        state[f"{i}_convolution.denominator"] = torch.tensor([6.0])
        state[f"{i}_convolution.weight_nn.layer0.weight"] = draw(8, 5)
    config = {
        "version": "0.9.1",
        "is_parity": False,
        "self_connection_type": "linear",
        "irreps_manual": ["4x0e", "4x0e+2x1e", "4x0e"],
        "lmax": 1,
        "cutoff": 4.0,
        "radial_basis": {"radial_basis_name": "bessel", "bessel_basis_num": 8},
        "cutoff_function": {"cutoff_function_name": "XPLOR", "cutoff_on": 3.5},
        "weight_nn_hidden_neurons": [5],
        "_type_map": {17: 1, 3: 0},
        "shift": np.zeros(2, np.float32),
    }
    return {"config": config | changes, "model_state_dict": state}


def test_an_old_checkpoint_is_read_and_turned_into_a_network() -> None:
    buffer = io.BytesIO()
    torch.save(old_checkpoint(), buffer)
    model = checkpoint_to_neutral(
        read_checkpoint(buffer.getvalue()), mode=None, notice={"licence": "MIT"}
    )
    network = from_neutral(model)
    assert network.setting.elements == ("Li", "Cl")
    assert network.setting.channels == ((4,), (4, 2), (4,))
    assert network.layers[0].convolution.weight_numel == 8
    assert network.layers[0].denominator == 6
    assert model.notice["licence"] == "MIT"
    assert network.scale.tolist() == [1.5, 1.5]


def test_weights_of_paths_are_sorted_by_the_degree_of_the_message() -> None:
    """Old order of the last layer: 0 × 0 → 0 of 4 channels, 1 × 1 → 0 of 2."""
    checkpoint = old_checkpoint(irreps_manual=["4x0e", "4x0e+2x1e", "4x0e+2x1e"])
    state = checkpoint["model_state_dict"]
    # as found: 000, 011, 101, 110, 111, 1 × 0 → 1 before 1 × 1 → 0
    state["1_convolution.weight_nn.layer1.weight"] = torch.arange(14.0).expand(5, 14)
    state["1_self_connection_intro.linear.weight"] = torch.ones(4 * 6 + 2 * 2)
    state["1_self_interaction_2.linear.weight"] = torch.ones(6 * 6 + 8 * 2)
    coupling = "1_convolution.convolution._compiled_main_left_right._w3j_1_1_1"
    state[coupling] = -couplings([(1, 1, 1)])[1, 1, 1].float()
    model = checkpoint_to_neutral(checkpoint, mode=None, notice={})
    columns = model.tensors["layers.1.radial.weights.1"][0].tolist()
    assert columns == [0, 1, 2, 3, 10, 11, 4, 5, 6, 7, 8, 9, 12, 13]
    # a release of e3nn with another sign: the network takes the checkpoint's
    assert torch.equal(
        from_neutral(model).layers[1].convolution.couplings()[1, 1, 1],
        -couplings([(1, 1, 1)])[1, 1, 1],
    )


@pytest.mark.parametrize(
    "changes",
    [{"is_parity": True}, {"self_connection_type": "nequip"}, {"irreps_manual": False}],
)
def test_another_architecture_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BackboneError, match="that FIRE does not have"):
        checkpoint_to_neutral(old_checkpoint(**changes), mode=None, notice={})
