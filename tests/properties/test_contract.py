"""Every built-in kind keeps the contract of `fire_core.testing.properties`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from ase.build import bulk

from fire_core.backbones.registry import load_backbone
from fire_core.properties.impedance.circuits import Circuit, impedance
from fire_core.records import PropertyResult, PropertyValue
from fire_core.testing.properties import PropertyContract

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone

    Json = dict[str, Any]


@cache
def mini() -> Backbone:
    return load_backbone("fire-mini", device="cpu")


class OfACrystal(PropertyContract):
    """LiCl by the bundled model."""

    @classmethod
    def inputs(cls) -> Json:
        atoms = bulk("LiCl", "rocksalt", a=5.1)
        return {"atoms": atoms, "backbone": mini()}


class TestAdhesion(PropertyContract):
    kind = "adhesion"
    settings: ClassVar[Json] = {"relax": False, "spacing": 1.0, "farthest": 5.0}
    system: ClassVar[Json | None] = {"preset": "licl-gaf3"}

    @classmethod
    def inputs(cls) -> Json:
        return {"backbone": mini()}


class TestElasticity(OfACrystal):
    kind = "elasticity"
    settings: ClassVar[Json] = {
        "strains": [0.005, 0.01],
        "symmetry": "reduce",
        "relax": False,
        "force_tolerance": 1e-2,
    }


class TestEquationOfState(OfACrystal):
    kind = "equation_of_state"
    settings: ClassVar[Json] = {"points": 5, "force_tolerance": 0.02}


class TestComputedImpedance(PropertyContract):
    kind = "impedance"
    settings: ClassVar[Json] = {"conductivity": {"source": "given", "value": 1e-3}}
    system = None


class TestImpedanceOfATransportMeasurement(PropertyContract):
    kind = "impedance"
    settings: ClassVar[Json] = {
        "conductivity": {"source": "transport", "measurement": "li-motion"}
    }
    system = None

    @classmethod
    def inputs(cls) -> Json:
        where = {"temperature_k": 300.0}
        value = PropertyValue("conductivity", 2e-3, "S/cm", 2e-4, conditions=where)
        return {"earlier": ("li-motion", PropertyResult((value,)))}


class TestMeasuredImpedance(PropertyContract):
    kind = "impedance"
    settings: ClassVar[Json] = {"measured": {"file": "spectrum.csv"}}
    system = None

    @classmethod
    def inputs(cls) -> Json:
        circuit = Circuit("R0-p(R1,C1)-CPE3", (1.0, 400.0, 1e-10, 1e-6, 0.9))
        f = np.geomspace(1e1, 1e7, 40)
        z = impedance(circuit, f)
        lines = [f"{a},{b.real},{b.imag}" for a, b in zip(f, z, strict=True)]
        return {"files": {"spectrum.csv": "\n".join(lines).encode()}}


class TestPhonons(OfACrystal):
    kind = "phonons"
    settings: ClassVar[Json] = {
        "supercell": [2, 2, 2],
        "mesh": 10.0,
        "force_tolerance": 1e-2,
    }


class TestSpeed(OfACrystal):
    kind = "speed"
    settings: ClassVar[Json] = {
        "sizes": [2, 8],
        "warm_up": 1,
        "repeats": 3,
        "replicas": [1, 2],
        "replica_atoms": 8,
        "theory": {"kind": "xtb"},
    }


class TestStructureOfDynamics(OfACrystal):
    kind = "structure_check"
    settings: ClassVar[Json] = {
        "dynamics": {
            "temperatures": [300],
            "replicas": 1,
            "steps": 20,
            "save_every": 2,
            "equilibration": 4,
            "segment": 10,
        },
        "blocks": 4,
        "cutoff": 4.0,
    }


class TestStructureOfTrajectories(PropertyContract):
    kind = "structure_check"
    settings: ClassVar[Json] = {
        "trajectories": ["md.xyz"],
        "blocks": 2,
        "cutoff": 4.0,
        "temperature": 300,
    }
    system = None

    @classmethod
    def inputs(cls) -> Json:
        frame = (
            '2\nLattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3 '
            'pbc="T T T"\nLi 0 0 {}\nCl 2.5 2.5 2.5\n'
        )
        frames = "".join(frame.format(0.05 * i) for i in range(6))
        return {"files": {"md.xyz": frames.encode()}}


class TestThermalElasticity(OfACrystal):
    kind = "thermal_elasticity"
    settings: ClassVar[Json] = {
        "temperature": 50.0,
        "cell": "given",
        "steps": 60,
        "cell_steps": 60,
        "equilibration": 20,
        "sample_every": 5,
        "segment": 20,
        "blocks": 4,
        "timestep": 1.0,
    }


class TestTransport(OfACrystal):
    kind = "transport"
    settings: ClassVar[Json] = {
        "temperatures": [300, 500],
        "replicas": 1,
        "ps": 0.06,
        "equilibration_ps": 0.02,
        "segment_ps": 0.02,
        "save_every_fs": 4,
        "analysis": {"grid": 2.0},
    }
