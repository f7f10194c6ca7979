"""What holds for every labeller, and for every electronic-structure program.

A test class names a theory level, and what changes its labels::

    class TestMine(LabellerContract):
        theory = MyTheory()
        changes: ClassVar = [{"depth": 0.2}]
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import pytest
from ase.build import bulk
from ase.data import chemical_symbols

from fire_core.config.load import parse_campaign
from fire_core.config.open_sets import LABELLERS
from fire_core.errors import ConfigError, LabellingError
from fire_core.labelling import program as programs
from fire_core.labelling.dft import program_of
from fire_core.labelling.program import Resources, compute
from fire_core.labelling.run import check_ready, known_elements, run_label
from fire_core.labelling.theory import theory_from_config
from fire_core.records import FailureKind

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from fire_core.config.dft import DftTheory
    from fire_core.config.theory import TheoryConfig
    from fire_core.records import Label

FORCE: Final = 5e-3  # eV/Å
STRESS: Final = 0.1 / 160.21766  # 0.1 GPa in eV/Å³
SHAPE: Final = np.array([[1.0, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]])


def rattled_salt() -> Atoms:
    """Return LiCl, eight atoms, displaced."""
    atoms = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
    atoms.positions += np.random.default_rng(0).normal(0, 0.08, atoms.positions.shape)
    return atoms


def silicon() -> Atoms:
    """Return two atoms, displaced and strained so that no symmetry is left."""
    atoms = bulk("Si", "diamond", a=5.43)
    atoms.positions[0] += [0.05, 0.08, -0.03]
    strain = np.array([[0.01, 0.01, 0.0], [0.01, 0.0, 0.0], [0.0, 0.0, -0.01]])
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return atoms


def moved(atoms: Atoms, step: float) -> Atoms:
    """Return a copy whose first atom is displaced along y by `step`, Å."""
    copy = atoms.copy()
    copy.positions[0, 1] += step
    return copy


def strained(atoms: Atoms, step: float) -> Atoms:
    """Return a copy under `step` times a strain along x with a shear."""
    copy = atoms.copy()
    copy.set_cell(copy.cell.array @ (np.eye(3) + step * SHAPE), scale_atoms=True)
    return copy


class LabellerContract:
    """What holds for every labeller.

    Attributes
    ----------
    theory
        The theory level of the tests, tight enough for derivatives.
    changes
        Settings each of which makes other labels.
    harmless
        Settings that change no label.
    install
        How to come by what it needs; said where the tests skip.
    step
        Displacement of the finite differences, Å.
    strain
        Strain of the finite differences.
    same
        What energies may differ by that are the same, eV: what is left to the order of
        the sums.
    """

    theory: ClassVar[TheoryConfig]
    changes: ClassVar[list[dict[str, Any]]]
    harmless: ClassVar[dict[str, Any]] = {}
    install: ClassVar[str] = ""
    step: ClassVar[float] = 0.01
    strain: ClassVar[float] = 2e-3
    same: ClassVar[float] = 1e-4

    @staticmethod
    def cell() -> Atoms:
        """Return a cell without symmetry, small enough for a test."""
        return rattled_salt()

    def changed(self, **changes: Any) -> Any:
        """Return the theory with other settings."""
        return type(self.theory).model_validate(self.theory.model_dump() | changes)

    @pytest.fixture
    def ready(self) -> None:
        """Skip where this machine lacks what the labels need."""
        try:
            check_ready(self.theory)
        except ConfigError as error:
            pytest.skip(f"{error} ({self.install})")

    def label(self, atoms: Atoms, folder: Path) -> Label:
        """Return the label of a structure, with restart files in `folder`."""
        machine = Resources(shelf=folder / "shelf")
        return run_label(self.theory, atoms, workdir=folder, machine=machine)

    @pytest.mark.usefixtures("ready")
    def test_forces_and_stress_are_derivatives(self, tmp_path: Path) -> None:
        """Forces and stress are the slopes of the energy.

        Along one axis of an atom; along an axis and a shear of the cell.
        """
        atoms = self.cell()

        def slope(change: Any, step: float) -> float:
            ends = [
                self.label(change(atoms, s * step), tmp_path).energy for s in (1, -1)
            ]
            return (ends[0] - ends[1]) / (2 * step)

        before = atoms.copy()
        label = self.label(atoms, tmp_path)
        assert atoms == before
        assert label.forces[0, 1] == pytest.approx(-slope(moved, self.step), abs=FORCE)
        assert label.stress is not None
        along = label.stress[0] + label.stress[5]  # both off-diagonal halves
        per_volume = slope(strained, self.strain) / atoms.get_volume()
        assert along == pytest.approx(per_volume, abs=STRESS)
        left = [path.name for path in tmp_path.iterdir() if path.name != "shelf"]
        assert left == []

    @pytest.mark.usefixtures("ready")
    def test_order_and_lattice_vectors_change_nothing(self, tmp_path: Path) -> None:
        """The order of atoms and whole lattice vectors change no number."""
        atoms = self.cell()
        order = np.arange(len(atoms))[::-1]
        other = atoms[order]
        other.positions[0] += other.cell.array[1]
        one, two = (run_label(self.theory, a, workdir=tmp_path) for a in (atoms, other))
        assert two.energy == pytest.approx(one.energy, abs=self.same)
        assert two.forces == pytest.approx(one.forces[order], abs=FORCE / 2)
        assert two.stress == pytest.approx(one.stress, abs=STRESS / 10)

    def test_atoms_on_top_of_each_other_are_no_label(self, tmp_path: Path) -> None:
        """Atoms on top of each other are refused before anything is spent."""
        atoms = self.cell()
        atoms.positions[1] = atoms.positions[0] + [0.3, 0.0, 0.0]
        with pytest.raises(LabellingError, match="bad_geometry"):  # before it costs
            run_label(self.theory, atoms, workdir=tmp_path)

    def test_an_element_that_it_lacks_is_told(self, tmp_path: Path) -> None:
        """An element that it cannot label is named."""
        lacking = set(chemical_symbols[1:]) - known_elements(self.theory)
        if not lacking:
            pytest.skip("it labels every element")
        atoms = self.cell()
        atoms.symbols[0] = max(lacking, key=chemical_symbols.index)
        with pytest.raises(LabellingError, match=str(atoms.symbols[0])) as caught:
            run_label(self.theory, atoms, workdir=tmp_path)
        assert caught.value.kind == FailureKind.UNKNOWN_ELEMENT

    def test_the_fingerprint_changes_exactly_with_what_changes_a_label(self) -> None:
        """The fingerprint changes exactly with what changes a label."""

        def fingerprint(**changes: Any) -> str:
            return theory_from_config(self.changed(**changes)).fingerprint

        same = fingerprint()
        assert fingerprint(**self.harmless) == same
        others = {fingerprint(**change) for change in self.changes}
        assert len(others | {same}) == len(self.changes) + 1

    def test_a_campaign_file_names_it(self) -> None:
        """Its `kind` leads to it, and its settings come back from a campaign file."""
        raw = self.theory.model_dump(mode="json")
        system = {"kind": "file", "path": "cell.cif"}
        config = parse_campaign({"name": "a", "system": system, "theory": raw})
        assert config.theory == self.theory
        assert self.theory.kind in LABELLERS
        assert type(self.theory).model_fields["kind"].default == self.theory.kind

    def test_a_misspelt_setting_is_told(self) -> None:
        """A key that the settings lack is an error at its place."""
        raw = self.theory.model_dump(mode="json") | {"no_such_setting": 1}
        system = {"kind": "file", "path": "cell.cif"}
        match = rf"theory\.{self.theory.kind}\.no_such_setting: unknown key"
        with pytest.raises(ConfigError, match=match):
            parse_campaign({"name": "a", "system": system, "theory": raw})


class DftContract(LabellerContract):
    """What holds for every electronic-structure program.

    Attributes
    ----------
    iterations
        Pattern of an SCF iteration, or of their number, in the output.
    says
        What the reason says when the SCF has not converged.
    near
        What forces of two SCF runs may differ by, eV/Å.
    """

    theory: ClassVar[DftTheory]
    iterations: ClassVar[str]
    says: ClassVar[str] = "(?i)not"
    harmless: ClassVar[dict[str, Any]] = {"max_iterations": 7}
    near: ClassVar[float] = 1e-3

    def count(self, folder: Path) -> int:
        """Return the SCF iterations of the last output."""
        output = (folder / "label.out").read_text(encoding="utf-8", errors="replace")
        found = re.findall(self.iterations, output, re.M)
        return int(found[-1]) if re.compile(self.iterations).groups else len(found)

    @pytest.mark.usefixtures("ready")
    def test_a_restart_saves_iterations_and_changes_no_label(
        self, tmp_path: Path
    ) -> None:
        """A restart saves iterations and changes no label."""
        program = program_of(self.theory)
        near = self.cell()
        near.positions[0, 0] += 0.01
        found = []
        shelf = tmp_path / "shelf"
        for number, (atoms, place) in enumerate(
            [(near, None), (self.cell(), shelf), (near, shelf)]
        ):
            folder = tmp_path / str(number)
            folder.mkdir()
            machine = Resources(shelf=place)
            label = compute(program, self.theory, atoms, folder, machine)
            found.append((label, self.count(folder)))
        fresh, _, restarted = found
        assert restarted[0].energy == pytest.approx(fresh[0].energy, abs=self.same)
        assert restarted[0].forces == pytest.approx(fresh[0].forces, abs=self.near)
        assert restarted[1] < fresh[1]

    @pytest.mark.usefixtures("ready")
    def test_a_limit_of_steps_is_no_label(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What did not converge is no label, and its files are kept."""
        monkeypatch.setattr(programs, "REMEDY_ITERATIONS", 1)
        theory = self.changed(max_iterations=2)
        with pytest.raises(LabellingError, match=self.says) as caught:
            run_label(theory, self.cell(), workdir=tmp_path)
        assert caught.value.kind == FailureKind.NOT_CONVERGED
        assert caught.value.log_tail
        (kept,) = tmp_path.iterdir()
        assert str(kept) == caught.value.workdir
        assert list(kept.rglob("label.out"))

    @pytest.mark.usefixtures("ready")
    def test_another_release_is_refused(self) -> None:
        """Another release than the theory names is refused."""
        name = program_of(self.theory).name
        with pytest.raises(ConfigError, match=rf"asks for {name} 0\.1, but"):
            check_ready(self.changed(release="0.1"))

    def test_a_machine_without_the_program_is_told_first(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A machine without the program is told before a label is tried."""
        monkeypatch.setenv(program_of(self.theory).variable, "nobodys-binary")
        with pytest.raises(ConfigError, match=r"'nobodys-binary' is not on its PATH"):
            check_ready(self.theory)
