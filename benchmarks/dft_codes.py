"""Two codes at one level: how far their labels agree, and whether forces are slopes.

``python -m benchmarks.dft_codes [--folder FOLDER] [--pool] [--quick]``. The cells are
the components of LiCl/GaF3, Li2CO3/LiF and Li/Li6PS5Cl, displaced and strained. CP2K
and pw.x take the same GTH pseudopotentials and k-points; what is left between them are
the Gaussian basis and the cutoffs. With ``--pool`` the labels are computed by the
workers of the service at PREFECT_API_URL, else here. Labels that the folder's store
has are not computed again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import Atoms
from prefect.deployments import run_deployment

from fire_core.campaign.names import PERTURB
from fire_core.campaign.reference import CampaignRef
from fire_core.config.campaign import CampaignConfig
from fire_core.config.dft import Cp2kTheory, DftTheory, EspressoTheory
from fire_core.config.load import config_to_json
from fire_core.labelling.theory import theory_from_config
from fire_core.storage.selections import SelectionRow
from fire_core.storage.store import Store
from fire_core.structures.crystals import build_crystal
from flows.label import label_flow

if TYPE_CHECKING:
    from fire_core.records import Label

GAMMA: Final = 2.0  # 1/Å: the Γ point alone, the same for both codes
CODES: Final = ("cp2k", "espresso")
SHAPES: Final = ((0.00, 11), (0.02, 12), (-0.02, 13))  # strain of all axes, seed
RATTLE: Final = 0.08  # Å
PAIR: Final = ((3.0, 3.0, 2.0), (3.2, 3.1, 4.2))  # Å
STEP: Final = 0.005  # Å; twice that errs by 6 meV/Å at a C–O bond
STRAIN: Final = 5e-3
TENSOR: Final = np.array([[1.0, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]])
GPA: Final = 160.21766  # in an eV/Å³


@dataclass(frozen=True)
class Cell:
    """A cell, and the cutoffs at which codes label it.

    `plane_waves` is pw.x's where the codes are compared, `for_slopes` where its first
    frame's derivatives are looked at, both in Ry: oxygen's and fluorine's stress wants
    more than energies and forces do. None: no derivatives.
    """

    atoms: Atoms
    for_slopes: float | None = None
    plane_waves: float = 200.0
    gaussians: float = 600.0

    def theory(self, code: str, *, slopes: bool = False) -> DftTheory:
        """Return a code's theory level for the frames or for their derivatives."""
        if code == "cp2k":
            return Cp2kTheory(
                k_spacing=GAMMA, cutoff=self.gaussians, scf_tolerance=1e-7
            )
        cutoff = (slopes and self.for_slopes) or self.plane_waves
        return EspressoTheory(
            k_spacing=GAMMA,
            cutoff=cutoff,
            density_cutoff=4 * cutoff,
            scf_tolerance=1e-10,
        )


def primitive(name: str) -> Atoms:
    """Return the primitive cell of a built-in crystal."""
    from pymatgen.io.ase import AseAtomsAdaptor

    structure = AseAtomsAdaptor.get_structure(build_crystal(name))
    found: Atoms = AseAtomsAdaptor.get_atoms(structure.get_primitive_structure())
    return found


def build_cells() -> dict[str, Cell]:
    """Return the cells by name, family after family."""
    return {
        "LiCl": Cell(build_crystal("LiCl")),
        "GaF3": Cell(primitive("GaF3"), for_slopes=480.0),
        "LiF": Cell(build_crystal("LiF")),
        "Li2CO3": Cell(primitive("Li2CO3"), for_slopes=360.0),
        "Li": Cell(build_crystal("Li").repeat(2)),
        "Li6PS5Cl": Cell(primitive("Li6PS5Cl"), for_slopes=260.0),
    }


def distort(atoms: Atoms) -> list[Atoms]:
    """Return a cell strained and rattled, one frame for each of `SHAPES`."""
    frames = []
    for strain, seed in SHAPES:
        frame = atoms.copy()
        frame.set_cell((1 + strain) * frame.cell.array, scale_atoms=True)
        frame.rattle(RATTLE, seed=seed)
        frames.append(frame)
    return frames


def differences(atoms: Atoms) -> list[Atoms]:
    """Return an atom moved up and down, and the cell strained both ways."""
    frames = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[0, 1] += sign * STEP
        frames.append(moved)
    for sign in (1, -1):
        strained = atoms.copy()
        tensor = np.eye(3) + sign * STRAIN * TENSOR
        strained.set_cell(strained.cell.array @ tensor, scale_atoms=True)
        frames.append(strained)
    return frames


def frames_of(cell: Cell, *, slopes: bool = False) -> list[Atoms]:
    """Return the frames to compare, or the first of them and its neighbours."""
    frames = distort(cell.atoms)
    return [frames[0], *differences(frames[0])] if slopes else frames


def label_frames(
    store: Store, where: dict[str, str], name: str, theory: DftTheory, keys: list[str]
) -> CampaignRef:
    """Enter the frames as a campaign's, which the flow that labels asks for."""
    config = CampaignConfig.model_validate(
        {
            "name": f"codes-{name}",
            "system": {"kind": "file", "path": "none"},
            "theory": theory,
            "label": {"workers": 2, "timeout": 7200},
            "store": where,
        }
    )
    store.campaigns.open(config.name, config_to_json(config))
    if store.selections.get(config.name, 0, PERTURB) is None:
        row = SelectionRow("benchmark", keys)
        store.selections.save(config.name, 0, PERTURB, row)
    return CampaignRef(name=config.name, db=where["url"], blobs=where["blobs"])


def label(ref: CampaignRef, *, pool: bool) -> None:
    """Run the labelling flow here or on its pool."""
    if not pool:
        label_flow(ref, 0, PERTURB)
        return
    parameters = {"ref": ref.model_dump(), "round_": 0, "purpose": PERTURB}
    run: Any = run_deployment("fire-label/label", parameters=parameters, timeout=None)
    assert run.state.is_completed(), run.state


def compare(first: list[Label], second: list[Label], n_atoms: int) -> dict[str, float]:
    """Return how two codes differ on the distorted frames of a cell.

    Energies are relative to the first frame, meV/atom; forces in meV/Å, stress in GPa.
    """
    n = len(SHAPES)
    relative = [
        np.array([item.energy - labels[0].energy for item in labels[1:n]])
        for labels in (first, second)
    ]
    forces = [
        np.stack([item.forces for item in labels[:n]]) for labels in (first, second)
    ]
    stress = [
        np.stack([item.stress for item in labels[:n]]) for labels in (first, second)
    ]
    gap = forces[0] - forces[1]
    return {
        "energy_mev_per_atom": 1e3
        * float(np.abs(relative[0] - relative[1]).max())
        / n_atoms,
        "energy_span_mev_per_atom": 1e3 * float(np.abs(relative[1]).max()) / n_atoms,
        "force_rmse_mev_per_angstrom": 1e3 * float(np.sqrt((gap**2).mean())),
        "force_rms_mev_per_angstrom": 1e3 * float(np.sqrt((forces[1] ** 2).mean())),
        "stress_gpa": GPA * float(np.abs(stress[0] - stress[1]).max()),
    }


def slopes(labels: list[Label], volume: float) -> dict[str, float]:
    """Return a force and a stress less the central differences of the energy."""
    here, (up, down, wide, narrow) = labels[0], labels[1:]
    force = -(up.energy - down.energy) / (2 * STEP)
    strain = (wide.energy - narrow.energy) / (2 * STRAIN * volume)
    assert here.stress is not None
    along = here.stress[0] + here.stress[5]  # both off-diagonal halves
    return {
        "force_mev_per_angstrom": 1e3 * float(here.forces[0, 1] - force),
        "stress_gpa": GPA * float(along - strain),
    }


def label_cells(
    store: Store, where: dict[str, str], cells: dict[str, Cell], *, pool: bool
) -> dict[str, dict[str, list[Label]]]:
    """Return each cell's labels by both codes, `NAME` compared, `NAME/slopes`."""
    found: dict[str, dict[str, list[Label]]] = {}
    for name, cell in cells.items():
        for slopes in (False, True)[: 1 + (cell.for_slopes is not None)]:
            keys = store.structures.add(frames_of(cell, slopes=slopes), source="codes")
            which = f"{name}/slopes" if slopes else name
            for code in CODES:
                theory = cell.theory(code, slopes=slopes)
                entry = f"{code}-{which}".lower().replace("/", "-").replace(" ", "-")
                label(label_frames(store, where, entry, theory, keys), pool=pool)
                labels = store.labels.get(keys, theory_from_config(theory).fingerprint)
                found.setdefault(which, {})[code] = [labels[key] for key in keys]
    return found


def run(folder: Path, cells: dict[str, Cell], *, pool: bool) -> dict[str, Any]:
    """Label what is missing and return the figures."""
    where = {"url": f"sqlite:///{folder}/fire.db", "blobs": str(folder / "blobs")}
    with Store.open(where["url"], where["blobs"]) as store:
        found = label_cells(store, where, cells, pool=pool)
    figures: dict[str, Any] = {"cells": {}, "slopes": {}}
    for name, cell in cells.items():
        figures["cells"][name] = compare(*found[name].values(), len(cell.atoms))
        if cell.for_slopes is not None:
            volume = distort(cell.atoms)[0].get_volume()
            figures["slopes"][name] = {
                code: slopes(labels, volume)
                for code, labels in found[f"{name}/slopes"].items()
            }
    return figures


def show(figures: dict[str, Any]) -> None:
    """Print the tables."""
    for name, row in figures["cells"].items():
        print(
            f"{name:9s} ΔE {row['energy_mev_per_atom']:7.2f} of "
            f"{row['energy_span_mev_per_atom']:7.1f} meV/atom   forces "
            f"{row['force_rmse_mev_per_angstrom']:6.1f} of "
            f"{row['force_rms_mev_per_angstrom']:6.0f} meV/Å   stress "
            f"{row['stress_gpa']:6.3f} GPa"
        )
    for name, codes in figures["slopes"].items():
        for code, row in codes.items():
            print(
                f"{name:9s} {code:9s} force − slope "
                f"{row['force_mev_per_angstrom']:7.2f} meV/Å   stress − slope "
                f"{row['stress_gpa']:7.3f} GPa"
            )


def main() -> None:
    """Print tables and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.dft_codes", description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--pool", action="store_true")
    parser.add_argument("--quick", action="store_true", help="under a minute")
    given = parser.parse_args()
    cells = build_cells()
    if given.quick:
        pair = Atoms("LiCl", PAIR, cell=[6.0] * 3, pbc=True)
        cells = {"LiCl pair": Cell(pair, plane_waves=80.0, gaussians=300.0)}
    with tempfile.TemporaryDirectory() as name:
        folder = (given.folder or Path(name)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        figures = run(folder, cells, pool=given.pool)
    show(figures)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
