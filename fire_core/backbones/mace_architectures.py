"""The architectures of the published MACE models, which random weights can be given.

What a model of `registry.MACE_NAMES` is built like, from the scripts that its authors
trained it with, so that everything FIRE does with one can be tried without its weights.
All have two layers, spherical harmonics up to l = 3, correlation 3, a radial network of
three layers of 64, and 89 elements.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from fire_core.backbones.mace import MaceBackbone, import_mace
from fire_core.backbones.torch_types import default_dtype
from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from collections.abc import Sequence

PLAIN: Final = ("RealAgnosticResidual", "RealAgnosticResidual")
MIXED: Final = ("RealAgnostic", "RealAgnosticResidual")
DENSITY: Final = ("RealAgnosticDensity", "RealAgnosticDensityResidual")
CHANNELS: Final = 128
ELEMENTS: Final = (*range(1, 84), *range(89, 95))
"""H to Bi, and Ac to Pu."""
NEIGHBOURS: Final = 62.0
"""Of an atom of random weights, about what MPtrj has within 6 Å."""
SCALE: Final = 50.0
"""eV, scale of random weights' interaction energies, for forces of some 0.1 eV/Å."""
SCRIPTS: Final = "github.com/ACEsuit/mace-foundations, "


@dataclass(frozen=True, slots=True)
class MaceArchitecture:
    """How a published MACE model is built.

    Attributes
    ----------
    degree
        Highest degree of the features between layers: 0, 1 or 2.
    source
        Where it is told.
    interactions
        Kind of the first layer's interaction block and of the others'.
    cutoff
        Å.
    n_bessel
        Radial basis functions.
    repulsion
        Whether ZBL pair repulsion is added, and the Agnesi transform put before the
        radial basis; models have both or neither.
    n_weights
        How many numbers its authors say it was trained of; None where nobody does.
    """

    degree: int
    source: str
    interactions: tuple[str, str] = PLAIN
    cutoff: float = 6.0
    n_bessel: int = 10
    repulsion: bool = False
    n_weights: int | None = None

    def irreps(self, channels: int = CHANNELS) -> str:
        """Return the features between layers in e3nn's words."""
        parities = "eoe"[: self.degree + 1]
        return "+".join(f"{channels}x{k}{p}" for k, p in enumerate(parities))


_0B: Final = MaceArchitecture(
    0,
    SCRIPTS + "mace_mp_0b/mace-agnesi-{small,medium}.sh",
    interactions=MIXED,  # what --model MACE of mace-torch makes of its defaults
    n_bessel=8,
    repulsion=True,
)
_0B2: Final = replace(
    _0B,
    source=SCRIPTS + "mace_mp_0b2/mace-density-{small,medium,large}.sh",
    interactions=DENSITY,
    cutoff=5.0,
)
_0B3: Final = MaceArchitecture(
    1,
    SCRIPTS + "mace_mp_0b3/mace-mp0-b3.sh",
    interactions=DENSITY,
    repulsion=True,
)
_OMAT: Final = replace(_0B3, source=SCRIPTS + "mace_omat/mace-omat-medium.sh")
_MATPES: Final = replace(_OMAT, source="fine-tuned from MACE-OMAT-0, so its file says")
ARCHITECTURES: Final[dict[str, MaceArchitecture]] = {
    "small": MaceArchitecture(0, SCRIPTS + "mace_mp_0/2023-12-10-mace-128-L0.sh"),
    "medium": MaceArchitecture(
        1,
        SCRIPTS + "mace_mp_0/2023-12-03-mace-128-L1.sh",
        n_weights=4_688_656,  # matbench-discovery, models/mace/mace-mp-0.yml
    ),
    "large": MaceArchitecture(2, SCRIPTS + "mace_mp_0/2024-01-07-mace-128-L2.sh"),
    "small-0b": _0B,
    "medium-0b": replace(_0B, degree=1),
    "small-0b2": _0B2,
    "medium-0b2": replace(_0B2, degree=1),
    "large-0b2": replace(_0B2, degree=2),
    "medium-0b3": _0B3,
    "medium-mpa-0": replace(
        _0B3,
        source="github.com/ACEsuit/mace-foundations/issues/29: as MACE-OMAT-0",
        n_weights=9_063_204,  # matbench-discovery, models/mace/mace-mpa-0.yml
    ),
    "small-omat-0": replace(_OMAT, degree=0),
    "medium-omat-0": _OMAT,
    "mace-matpes-pbe-0": _MATPES,
    "mace-matpes-r2scan-0": _MATPES,
}
"""By the name that `backbone.name` says. The script of MACE-OMAT-0 leaves its radial
functions to a file that is not published; ten of them give MACE-MPA-0, which is built
alike, the number of weights that it is said to have."""


def random_mace(
    name: str,
    *,
    seed: int = 0,
    channels: int = CHANNELS,
    elements: Sequence[int] = ELEMENTS,
    dtype: str = "float32",
) -> MaceBackbone:
    """Return a published model's architecture with random weights, on the CPU.

    Parameters
    ----------
    name
        One of `ARCHITECTURES`.
    seed
        Source of the weights.
    channels
        Of the features; the published models have `CHANNELS`.
    elements
        Atomic numbers, ascending; the published models know `ELEMENTS`. Reference
        energies are -1 eV for the first, -1.01 eV for the second, and so on.
    dtype
        `float32` or `float64`.

    Raises
    ------
    BackboneError
        There is no such architecture.
    """
    if name not in ARCHITECTURES:
        msg = f"expected one of {', '.join(ARCHITECTURES)}, got {name!r}"
        raise BackboneError(msg)
    told = f"random {name} {seed} {channels} {list(elements)}"
    return MaceBackbone(
        _random_network(ARCHITECTURES[name], seed, channels, elements, dtype),
        name=f"random-{name}",
        sha256=hashlib.sha256(told.encode()).hexdigest(),
        device="cpu",
        dtype=dtype,
    )


def _random_network(
    architecture: MaceArchitecture,
    seed: int,
    channels: int,
    elements: Sequence[int],
    dtype: str,
) -> Any:
    """Return a network of mace-torch; torch's own state is left alone."""
    import_mace()  # must come before e3nn
    import numpy as np
    import torch
    from e3nn import o3
    from mace import modules

    first, others = (
        modules.interaction_classes[f"{kind}InteractionBlock"]
        for kind in architecture.interactions
    )
    with (
        torch.random.fork_rng(devices=[]),
        default_dtype(getattr(torch, dtype)),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # notes of e3nn on what torch deprecates
        torch.manual_seed(seed)
        return modules.ScaleShiftMACE(
            r_max=architecture.cutoff,
            num_bessel=architecture.n_bessel,
            num_polynomial_cutoff=5,
            max_ell=3,
            interaction_cls=others,
            interaction_cls_first=first,
            num_interactions=2,
            num_elements=len(elements),
            hidden_irreps=o3.Irreps(architecture.irreps(channels)),
            MLP_irreps=o3.Irreps("16x0e"),
            gate=torch.nn.functional.silu,
            atomic_energies=-1.0 - 0.01 * np.arange(len(elements)),
            avg_num_neighbors=NEIGHBOURS,
            atomic_numbers=list(elements),
            correlation=3,
            pair_repulsion=architecture.repulsion,
            use_reduced_cg=False,  # the older products, of more paths
            distance_transform="Agnesi" if architecture.repulsion else "None",
            radial_type="bessel",
            radial_MLP=[64, 64, 64],
            atomic_inter_scale=SCALE,
            atomic_inter_shift=0.0,
        )
