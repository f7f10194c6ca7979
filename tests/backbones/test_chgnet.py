"""CHGNet here is CHGNet as its package has it, and what FIRE adds holds."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from fire_core.backbones.chgnet import ChgnetBackbone
from fire_core.backbones.chgnet_graphs import find_angles, find_short, join, to_graph
from fire_core.backbones.chgnet_training import PARTS
from fire_core.backbones.export import ExportFormat, export_model
from fire_core.backbones.registry import load_backbone
from fire_core.backbones.systems import frames_to_state
from fire_core.config.training import TrainConfig
from fire_core.errors import BackboneError, StructureError

if TYPE_CHECKING:
    from pathlib import Path

SINGLE_ENERGY = 1e-6  # eV/atom, rounding of the package's single precision
SINGLE_FORCE = 1e-4  # eV/Å
SINGLE_STRESS = 1e-5  # eV/Å³
DOUBLE = 1e-10


@pytest.fixture(scope="module")
def chgnet() -> ChgnetBackbone:
    return load_backbone("chgnet", device="cpu", dtype="float64", threads=1)


@pytest.fixture(scope="module")
def package() -> Any:
    """The package's own calculator."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from chgnet.model import CHGNetCalculator

        return CHGNetCalculator(use_device="cpu", on_isolated_atoms="ignore")


def salt() -> Atoms:
    atoms = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
    atoms.symbols[0] = "Na"
    atoms.positions += np.random.default_rng(0).normal(0, 0.1, atoms.positions.shape)
    return atoms


def tiny() -> Atoms:
    """A cell of 2.8 Å, in which atoms see images of themselves, 2.9 Å away."""
    atoms = bulk("LiF", "rocksalt", a=4.0)
    atoms.positions[1] += [0.1, 0.05, -0.2]
    return atoms


def oxide() -> Atoms:
    """Four atoms with moments in a skewed cell, one of them far outside of it."""
    atoms = bulk("NiO", "rocksalt", a=4.2) * (1, 1, 2)
    atoms.rattle(0.08, seed=3)
    atoms.positions[0] += 3 * atoms.cell.array[0] - 2 * atoms.cell.array[2]
    return atoms


def slab() -> Atoms:
    """Periodic in two directions, in a cell thinner than the cutoff in the third."""
    atoms = salt()
    atoms.set_pbc((True, True, False))
    return atoms


def water() -> Atoms:
    """A molecule in a box of 4 Å, whose images would be within the cutoff."""
    return Atoms(molecule("H2O"), cell=np.eye(3) * 4.0, pbc=False)


STRUCTURES = [salt, tiny, oxide, slab, water]


def by_package(atoms: Atoms, package: Any) -> tuple[float, Any, Any]:
    work = atoms.copy()
    work.calc = package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        energy = work.get_potential_energy()
        return energy, work.get_forces(), work.calc.results["stress"]


@pytest.mark.parametrize("make", STRUCTURES)
def test_bonds_and_angles_are_those_of_the_packages_converter(
    chgnet: ChgnetBackbone, make: Any
) -> None:
    import torch
    from pymatgen.io.ase import AseAtomsAdaptor

    atoms = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        structure = AseAtomsAdaptor.get_structure(atoms)
    theirs = chgnet.model.graph_converter(structure)
    ours = to_graph(atoms, chgnet.cutoff)
    assert ours.num_edges == len(theirs.atom_graph)
    lattice = torch.tensor(structure.lattice.matrix)
    places = torch.tensor(structure.frac_coords) @ lattice
    first, second = theirs.atom_graph.long().T
    vectors = places[first] - places[second] - theirs.neighbor_image.double() @ lattice

    def rows(pairs: Any, vectors: Any) -> Any:
        both = np.column_stack([np.asarray(pairs).T, np.round(vectors, 6) + 0.0])
        return both[np.lexsort(np.round(both, 4).T)]

    mine = rows(
        np.concatenate([ours.pairs, ours.pairs[::-1]], axis=1),
        np.concatenate([ours.vectors, -ours.vectors]),
    )
    assert np.allclose(
        mine, rows(torch.stack([first, second]), vectors.numpy()), atol=1e-5
    )
    batch = join([ours], "cpu")
    bonds = find_short(batch, torch.linalg.vector_norm(batch.vectors, dim=1), 3.0)
    short = bonds.index
    found = find_angles(batch.pairs[:, short], bonds.counts, bonds.n_angles)
    directed = torch.cat([batch.vectors[short], -batch.vectors[short]])

    def cosines(center: Any, left: Any, right: Any) -> Any:
        values = torch.cosine_similarity(left, right, dim=1)
        both = np.column_stack([center, values, left.norm(dim=1), right.norm(dim=1)])
        return both[np.lexsort(np.round(both, 3).T)]

    graph = theirs.bond_graph.long()
    assert len(found.center) == len(graph)
    mine = cosines(found.center, directed[found.left], directed[found.right])
    packages = cosines(graph[:, 0], vectors[graph[:, 2]], vectors[graph[:, 4]])
    for column in range(4):  # rows of equal angles may stand in another order
        assert np.allclose(
            np.sort(mine[:, column]), np.sort(packages[:, column]), atol=1e-5
        )


@pytest.mark.parametrize("make", STRUCTURES)
def test_predictions_are_the_packages(
    chgnet: ChgnetBackbone, package: Any, make: Any
) -> None:
    """In double precision here, in single there; so is the stress and its unit."""
    atoms = make()
    energy, forces, stress = by_package(atoms, package)
    label = chgnet.predict([atoms])[0]
    assert label.energy == pytest.approx(energy, abs=SINGLE_ENERGY * len(atoms))
    assert np.allclose(label.forces, forces, atol=SINGLE_FORCE)
    if atoms.pbc.all():
        from ase.stress import full_3x3_to_voigt_6_stress

        expected = full_3x3_to_voigt_6_stress(np.asarray(stress, float))
        assert label.stress == pytest.approx(expected, abs=SINGLE_STRESS)
    else:
        assert label.stress is None


@pytest.mark.parametrize("component", range(6))
def test_each_component_of_the_stress_is_a_strain_derivative(
    chgnet: ChgnetBackbone, component: int
) -> None:
    atoms, step = salt(), 1e-4
    i, j = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))[component]
    strained = []
    for sign in (1, -1):
        strain = np.zeros((3, 3))
        strain[i, j] += sign * step / 2
        strain[j, i] += sign * step / 2
        copy = atoms.copy()
        copy.set_cell(copy.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        strained.append(copy)
    plain, up, down = chgnet.predict([atoms, *strained])
    assert plain.stress is not None
    slope = (up.energy - down.energy) / (2 * step) / atoms.get_volume()
    assert plain.stress[component] == pytest.approx(slope, abs=1e-6)


def test_forces_are_slopes_where_atoms_are_in_line(chgnet: ChgnetBackbone) -> None:
    """The ideal crystal, whose angles of 180° are where acos has no slope."""
    atoms = bulk("LiF", "rocksalt", a=4.05, cubic=True)
    plain = chgnet.predict([atoms])[0]
    assert np.abs(plain.forces).max() < 1e-8
    moved = [atoms.copy(), atoms.copy(), atoms.copy()]
    for shift, copy in zip((0.02, 0.021, 0.019), moved, strict=True):
        copy.positions[0, 0] += shift
    middle, up, down = chgnet.predict(moved)
    slope = -(up.energy - down.energy) / 0.002
    assert middle.forces[0, 0] == pytest.approx(slope, abs=1e-4)


def test_what_has_no_neighbours_or_no_cell_is_computed(chgnet: ChgnetBackbone) -> None:
    """An atom alone does not feel others; a molecule needs no box."""
    alone = Atoms("Li", cell=np.eye(3) * 20, pbc=True)
    pair = Atoms("Li2", positions=[[0, 0, 0], [0, 0, 20]])
    boxed, bare = water(), molecule("H2O")
    one, two, inside, outside = (
        chgnet.predict([a])[0] for a in (alone, pair, boxed, bare)
    )
    for a, b in zip(chgnet.predict([alone, boxed]), (one, inside), strict=True):
        assert a.energy == pytest.approx(b.energy, abs=DOUBLE)
    assert chgnet.atom_features([pair])[0].shape == (2, 64)
    assert two.energy == pytest.approx(2 * one.energy, abs=DOUBLE)
    assert not one.forces.any()
    assert one.stress == pytest.approx(np.zeros(6), abs=DOUBLE)
    assert inside.energy == pytest.approx(outside.energy, abs=DOUBLE)
    assert np.allclose(inside.forces, outside.forces, atol=DOUBLE)


def test_a_position_that_is_not_finite_is_refused_at_once(
    chgnet: ChgnetBackbone,
) -> None:
    atoms = salt()
    atoms.positions[2, 0] = np.nan
    with pytest.raises(StructureError, match="not finite"):
        chgnet.predict([atoms])


def test_types_and_files_keep_their_digits(
    chgnet: ChgnetBackbone, tmp_path: Path
) -> None:
    """Weights in double precision come back so, whatever the package makes of them."""
    single = load_backbone("chgnet", device="cpu", dtype="float32")
    assert single.sha256 == chgnet.sha256
    plain, rough = chgnet.predict([salt()])[0], single.predict([salt()])[0]
    assert plain.energy == pytest.approx(rough.energy, abs=1e-5)
    changed = chgnet.network(TrainConfig(strategy="naive"), [], seed=1)
    weights = [
        p.detach() * (1 + 1e-10) for p in changed.module.parameters() if p.requires_grad
    ]
    path = tmp_path / "changed"
    path.write_bytes(changed.export(weights, {}))
    kept = list(chgnet.reload(path).model.parameters())
    original = list(chgnet.model.parameters())
    assert any(not (a == b).all() for a, b in zip(kept, original, strict=True))
    with pytest.raises(BackboneError, match=r"or chgnet: and the path.*got 0\.2\.0"):
        load_backbone("chgnet:0.2.0")


def test_replicas_do_not_feel_each_other_and_bonds_are_kept(
    chgnet: ChgnetBackbone,
) -> None:
    """Through heat and a changing cell, of three sizes; searched for seldom."""
    import torch

    from fire_core.backbones.chgnet_batched import BatchedChgnet

    rng = np.random.default_rng(2)
    frames = [tiny(), salt(), oxide()]
    kept = chgnet.batched_model(stress=True)
    options = {"device": chgnet.device, "dtype": chgnet.dtype, "compute_stress": True}
    for step in range(8):
        for atoms in frames:
            atoms.positions += rng.normal(0, 0.04, atoms.positions.shape)
            if step > 3:
                cell = atoms.cell.array @ np.diag(1 + rng.normal(0, 0.004, 3))
                atoms.set_cell(cell, scale_atoms=True)
        state = frames_to_state(frames, device=chgnet.device, dtype=torch.float64)
        found = kept(state)
        fresh = BatchedChgnet(chgnet.model, skin=0.0, **options)(state)
        for name, value in fresh.items():
            assert torch.allclose(found[name], value, rtol=0, atol=DOUBLE), name
        labels = [chgnet.predict([frame])[0] for frame in frames]
        assert found["energy"].tolist() == pytest.approx([x.energy for x in labels])
        forces = np.concatenate([x.forces for x in labels])
        assert np.allclose(found["forces"].numpy(), forces, atol=DOUBLE)
        assert found["stress"].diagonal(dim1=1, dim2=2).numpy() == pytest.approx(
            np.array([x.stress[:3] for x in labels]), abs=DOUBLE
        )
    assert 1 < kept.pairs.searches < 7


@pytest.mark.parametrize("part", sorted(PARTS))
def test_frozen_parts_do_not_move_and_the_rest_does(
    chgnet: ChgnetBackbone, part: str
) -> None:
    config = TrainConfig.model_validate({"strategy": "naive", "freeze": [part]})
    network = chgnet.network(config, [], seed=1)
    moves = {n for n, p in network.module.named_parameters() if p.requires_grad}
    held = {n for n in dict(network.module.named_parameters()) if n not in moves}
    assert {n.split(".")[0] for n in held} >= {*PARTS[part], "site_wise"}
    free = {m for other, names in PARTS.items() if other != part for m in names}
    assert {n.split(".")[0] for n in moves} == free
    prediction = network.forward([network.graph(salt())], stress=True)
    assert prediction.stress is not None
    loss = prediction.forces.square().sum() + prediction.stress.square().sum()
    (loss + prediction.energy.square().sum()).backward()
    still = {
        n
        for n, p in network.module.named_parameters()
        if p.requires_grad and (p.grad is None or not p.grad.any())
    }
    assert not still  # whatever is trained is felt


def test_the_parts_are_the_whole_network(chgnet: ChgnetBackbone) -> None:
    named = {m for names in PARTS.values() for m in names}
    there = {n.split(".")[0] for n, _ in chgnet.model.named_parameters()}
    assert there - named == {"composition_model", "site_wise"}


def test_scratch_draws_new_weights_from_its_seed_and_keeps_references(
    chgnet: ChgnetBackbone,
) -> None:
    import torch

    config = TrainConfig(strategy="scratch")
    before = torch.random.get_rng_state()
    one, same, other = (chgnet.network(config, [], seed=s) for s in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    labels = [n.predict([n.graph(salt())])[0] for n in (one, same, other)]
    assert labels[0].energy == labels[1].energy
    assert labels[0].energy != labels[2].energy
    weight = chgnet.model.composition_model.fc.weight
    assert torch.equal(one.module.composition_model.fc.weight, weight)
    assert one.dtype == chgnet.dtype


@pytest.mark.parametrize("format_", sorted(ChgnetBackbone.formats))
def test_what_is_written_is_the_model_in_its_own_package(
    chgnet: ChgnetBackbone, format_: ExportFormat, tmp_path: Path
) -> None:
    result = export_model(chgnet, format_, tmp_path / "model")
    assert result.n_structures == 24  # elements up to plutonium, each twice
    assert result.energy_difference < 10 * SINGLE_ENERGY
    assert result.force_difference < SINGLE_FORCE
    assert "calculator" in result.checked
    assert str(tmp_path / "model") in result.usage


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"mlp_first": False}, "mlp_first=False"), ({"conv_dropout": 0.1}, "dropout=0.1")],
)
def test_architectures_that_are_computed_otherwise_are_refused(
    chgnet: ChgnetBackbone, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """The package's own file of such a network."""
    import torch
    from chgnet.model import CHGNet

    with contextlib.redirect_stdout(io.StringIO()):
        other = CHGNet(**(chgnet.model.model_args | changes))
    torch.save({"model": other.as_dict()}, tmp_path / "other")
    with pytest.raises(BackboneError, match=rf"published ones are, got.*{message}"):
        load_backbone(f"chgnet:{tmp_path / 'other'}")
