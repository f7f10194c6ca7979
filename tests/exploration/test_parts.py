"""Cells of several sizes, ramps, and memory that runs out, change no trajectory."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from ase.build import bulk

from fire_core.backbones.batched import BatchedMace
from fire_core.backbones.memory import is_out_of_memory
from fire_core.backbones.registry import load_backbone
from fire_core.backbones.systems import frames_to_state
from fire_core.config.ensemble import BarostatConfig
from fire_core.config.steps import DynamicsConfig
from fire_core.errors import OutOfMemoryError
from fire_core.exploration.dynamics import run_segment, start_states
from fire_core.exploration.parts import PartLimit
from tests.models import small_sevennet

ROUNDING = 1e-8
"""Å after some dozen steps in double precision."""


def run(backbone, structures, **options):
    defaults = {"replicas": 6, "temperatures": (20.0, 40.0), "steps": 40}
    defaults |= {"segment": 40, "save_every": 10}
    config = DynamicsConfig(**(defaults | options))
    states = start_states(structures, config, seed=4)
    return run_segment(backbone, states, config, segment_index=0, seed=4, model_sha="m")


def agree(some, others) -> bool:
    pairs = zip(some.frames, others.frames, strict=True)
    return all(
        a.tag == b.tag
        and np.allclose(a.atoms.positions, b.atoms.positions, atol=ROUNDING)
        and np.allclose(a.atoms.cell, b.atoms.cell, atol=ROUNDING)
        for a, b in pairs
    )


class Small:
    """A potential whose device holds a given number of atoms and says so its way."""

    elements = frozenset({"Ar"})

    def __init__(self, argon, room: int, error: Exception) -> None:
        self.model, self.room, self.error = argon.model, room, error
        self.device, self.dtype = self.model.device, self.model.dtype
        self.calls: list[int] = []

    def batched_model(self, *, stress: bool = False):
        return self

    def __call__(self, state):
        self.calls.append(len(state.positions))
        if len(state.positions) > self.room:
            raise self.error
        return self.model(state)


@pytest.fixture
def cells(crystal):
    return [crystal, bulk("Ar", "fcc", a=5.3), crystal.repeat((2, 1, 1))]


@pytest.mark.parametrize("barostat", [None, BarostatConfig(axes="each")])
def test_replicas_of_different_cells_run_as_if_alone(argon, cells, barostat):
    together = run(argon, cells, barostat=barostat)
    sizes = [len(f.atoms) for f in together.frames]
    assert sizes == [n for n in (4, 4, 1, 1, 8, 8) for _ in range(4)]
    assert agree(together, run(argon, cells, barostat=barostat, batch=1))
    assert agree(together, run(argon, cells, barostat=barostat, batch=4))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't "
                     "allocate memory: you tried to allocate 4 bytes."),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"),
        MemoryError(),
        "cuda",
    ],
    ids=["linux", "windows", "python", "cuda"],
)  # fmt: skip
def test_a_batch_that_does_not_fit_is_halved_and_goes_on(argon, cells, error):
    import torch

    if error == "cuda":
        error = torch.OutOfMemoryError("CUDA out of memory.")
    small = Small(argon, room=9, error=error)
    assert agree(run(small, cells), run(argon, cells))
    assert small.calls[0] == 26
    assert small.calls[-1] <= 9
    assert sum(n > 9 for n in small.calls) <= 3  # what was learnt is kept


def test_a_replica_that_fits_nowhere_and_other_errors_are_raised(argon, cells):
    small = Small(argon, room=7, error=MemoryError())
    with pytest.raises(OutOfMemoryError, match="one replica of 8 atoms does not fit"):
        run(small, cells)
    broken = Small(argon, room=0, error=RuntimeError("shape mismatch"))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        run(broken, cells)
    assert len(broken.calls) == 1
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_real_allocation_beyond_the_machine_is_recognised():
    import torch

    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.float32)
    assert is_out_of_memory(caught.value)


def test_where_to_begin():
    import torch

    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert PartLimit.of("auto", cuda) == PartLimit(0, 0)
    assert PartLimit.of("auto", cpu).atoms > 0
    assert PartLimit.of(5, cpu) == PartLimit(5, 0)


def test_a_ramp_is_followed_by_thermostat_guards_and_tags(trap_factory):
    """Heated slowly, independent wells have k_B T / 2 at each moment."""
    atoms = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    options = {"steps": 2000, "segment": 2000, "save_every": 10, "friction": 0.1}
    result = run(
        trap_factory(atoms.positions, 2.0),
        [atoms],
        temperatures=(300.0, (200.0, 1000.0)),
        replicas=16,
        **options,
    )
    assert not result.stopped
    tags = {f.tag.replica % 2: [] for f in result.frames}
    for frame in result.frames:
        tags[frame.tag.replica % 2].append((frame.tag.step, frame.tag.temperature))
    assert {t for _, t in tags[0]} == {300.0}
    assert all(t == pytest.approx(200 + 800 * s / 2000) for s, t in tags[1])
    hot = [f for f in result.frames if f.tag.replica % 2]
    for first in (0, 1000):
        part = [f for f in hot if first < f.tag.step <= first + 1000]
        target = np.mean([f.tag.temperature for f in part])
        found = np.mean([f.energy for f in part]) / (1.5 * len(atoms) * 8.617333e-5)
        samples = 3 * len(atoms) * len(part) / 4  # frames 20 fs apart
        assert found == pytest.approx(target, abs=4 * target * np.sqrt(2 / samples))


def test_neighbours_kept_between_calls_are_those_found_afresh():
    """Through heat and a changing cell, of two sizes; and found again seldom."""
    import torch

    mini = load_backbone("fire-mini", device="cpu", dtype="float64")
    rng = np.random.default_rng(2)
    salt = bulk("LiCl", "rocksalt", a=5.1)
    frames = [salt, salt.repeat((2, 1, 2))]
    kept = mini.batched_model(stress=True)
    options = {"device": mini.device, "dtype": mini.dtype, "compute_stress": True}
    for step in range(10):
        for atoms in frames:
            atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
            if step > 4:
                cell = atoms.cell.array @ np.diag(1 + rng.normal(0, 0.004, 3))
                atoms.set_cell(cell, scale_atoms=True)
        state = frames_to_state(frames, device=mini.device, dtype=torch.float64)
        found = kept(state)
        fresh = BatchedMace(mini.fast, skin=0.0, **options)(state)
        for name, value in fresh.items():
            assert torch.allclose(found[name], value, rtol=0, atol=1e-10), name
        labels = mini.predict(frames)
        assert found["energy"].tolist() == pytest.approx([x.energy for x in labels])
        assert found["stress"].diagonal(dim1=1, dim2=2).numpy() == pytest.approx(
            np.array([x.stress[:3] for x in labels]), abs=1e-10
        )
    assert 1 < kept.pairs.searches < 8


@pytest.mark.parametrize("name", ["fire-mini", "chgnet", "small sevennet"])
def test_the_parts_of_a_batch_keep_their_own_neighbours(name):
    """Each part is a copy of the model; in turns they do not search again."""
    import torch

    if name == "small sevennet":
        backbone = small_sevennet()
    else:
        backbone = load_backbone(name, device="cpu", dtype="float64")
    salt = bulk("LiCl", "rocksalt", a=5.1)
    whole = backbone.batched_model(stress=True)
    frames = [salt, salt.repeat((2, 1, 1)), salt.repeat((1, 1, 2))]
    parts = [copy.copy(whole) for _ in frames]
    rng = np.random.default_rng(3)
    for _ in range(3):
        for frame, part in zip(frames, parts, strict=True):
            frame.positions += rng.normal(0, 0.01, frame.positions.shape)
            state = frames_to_state([frame], device=part.device, dtype=torch.float64)
            label = backbone.predict([frame])[0]
            found = part(state)
            assert float(found["energy"][0]) == pytest.approx(label.energy)
            assert found["forces"].numpy() == pytest.approx(label.forces, abs=1e-9)
    assert [part.pairs.searches for part in parts] == [1, 1, 1]
