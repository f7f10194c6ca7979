"""Families that their own packages compute: a name or a file becomes a backbone.

Each loader is given what stands behind the family's name and a colon. A name of the
package is fetched by the package, as it does it; a path is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ase.data import chemical_symbols

from fire_core.backbones.environments.packages import PACKAGES
from fire_core.backbones.packaged.ase_backbone import AseBackbone
from fire_core.errors import BackboneError
from fire_core.files import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from ase.calculators.calculator import Calculator

NO_STABLE_ISOTOPE: Final = frozenset({84, 85, 86, 87, 88})
"""Po, At, Rn, Fr, Ra: of the first 94 elements those that no crystal data set holds."""
CRYSTALS: Final = frozenset(
    chemical_symbols[z] for z in range(1, 95) if z not in NO_STABLE_ISOTOPE
)
"""The 89 elements of MPtrj and OMat24, which published models are trained on."""


def load_mattersim(model: str, *, device: str, dtype: str) -> AseBackbone:  # noqa: ARG001 - single precision
    """Return a MatterSim (Yang et al., arXiv:2405.04967)."""
    from mattersim.forcefield.potential import MatterSimCalculator, Potential

    def load(source: str) -> Potential:
        return Potential.from_checkpoint(
            source, device=device, load_training_state=False
        )

    known = ("mattersim-v1.0.0-1m", "mattersim-v1.0.0-5m")
    potential = _load("mattersim", model, load, known)
    return _backbone(
        "mattersim",
        model,
        MatterSimCalculator(potential=potential, device=device),
        network=potential.model,
        cutoff=potential.model.model_args["cutoff"],
        elements=CRYSTALS,
        device=device,
    )


def load_orb(model: str, *, device: str, dtype: str) -> AseBackbone:
    """Return an Orb (Rhodes et al., arXiv:2504.06231).

    A file holds weights alone: it is called what its authors call it, so that its
    architecture is known, for example `orb-v3-conservative-inf-omat-20250404.ckpt`.
    """
    from orb_models.forcefield.calculator import ORBCalculator
    from orb_models.forcefield.pretrained import ORB_PRETRAINED_MODELS

    names = sorted(ORB_PRETRAINED_MODELS, key=len, reverse=True)
    precision = "float64" if dtype == "float64" else "float32-highest"

    def load(source: str) -> Any:
        options = {"device": device, "precision": precision, "compile": False}
        if not Path(source).is_file():
            return ORB_PRETRAINED_MODELS[source](**options)
        name = next((n for n in names if Path(source).name.startswith(n)), None)
        if name is None:
            msg = f"the file's name begins with none of {', '.join(names)}"
            raise ValueError(msg)
        return ORB_PRETRAINED_MODELS[name](weights_path=source, **options)

    network = _load("orb", model, load, names)
    return _backbone(
        "orb",
        model,
        ORBCalculator(network, device=device),
        network=network,
        cutoff=network.system_config.radius,
        elements=CRYSTALS,
        device=device,
    )


def load_upet(model: str, *, device: str, dtype: str) -> AseBackbone:
    """Return a PET, the point edge transformer (Pozdnyakov, Ceriotti, NeurIPS 2023)."""
    from upet.ase.calculator import UPETCalculator

    def load(source: str) -> UPETCalculator:
        options = {"device": device, "dtype": dtype, "uncertainty_threshold": None}
        if Path(source).is_file():
            return UPETCalculator(checkpoint_path=source, **options)
        return UPETCalculator(model=source, **options)

    calculator = _load("upet", model, load)
    network = calculator._base_calculator._model  # noqa: SLF001 - it has no door
    facts = network.capabilities()
    return _backbone(
        "upet",
        model,
        calculator,
        network=network,
        cutoff=facts.engine_interaction_range("angstrom")
        if hasattr(facts, "engine_interaction_range")
        else facts.interaction_range,
        elements=_symbols(facts.atomic_types),
        device=device,
    )


def load_nequix(model: str, *, device: str, dtype: str) -> AseBackbone:  # noqa: ARG001 - single precision
    """Return a Nequix (Koker et al., arXiv:2508.16067), computed by JAX."""
    from nequix.calculator import NequixCalculator

    def load(source: str) -> NequixCalculator:
        options = {"backend": "jax", "use_kernel": False}
        if Path(source).is_file():
            return NequixCalculator(model_path=source, **options)
        return NequixCalculator(model_name=source, **options)

    calculator = _load("nequix", model, load, tuple(NequixCalculator.URLS))
    return _backbone(
        "nequix",
        model,
        calculator,
        network=calculator.model,
        cutoff=calculator.cutoff,
        elements=_symbols(calculator.config["atomic_numbers"]),
        device=device,
    )


def load_deepmd(model: str, *, device: str, dtype: str) -> AseBackbone:  # noqa: ARG001 - the file says both
    """Return a model of DeePMD-kit, such as DPA-3 (Zhang et al., arXiv:2506.01686).

    A file with several heads is frozen to one before, by `dp --pt freeze --head`.
    """
    from deepmd.calculator import DP

    calculator = _load("deepmd", model, DP)
    return _backbone(
        "deepmd",
        model,
        calculator,
        network=None,
        cutoff=calculator.dp.get_rcut(),
        elements=frozenset(calculator.dp.get_type_map()),
        device=device,
    )


def load_fairchem(model: str, *, device: str, dtype: str) -> AseBackbone:  # noqa: ARG001 - the package chooses
    """Return a UMA or eSEN (Fu et al., arXiv:2502.12147) of fairchem.

    Of several tasks it does that of inorganic crystals, `omat`.
    """
    from fairchem.core.calculate import pretrained_mlip
    from fairchem.core.calculate.ase_calculator import FAIRChemCalculator

    def load(source: str) -> FAIRChemCalculator:
        unit = pretrained_mlip.get_predict_unit(source, device=device)
        task = "omat" if "omat" in unit.dataset_to_tasks else None
        return FAIRChemCalculator(unit, task_name=task)

    known = tuple(pretrained_mlip.available_models)
    calculator = _load("fairchem", model, load, known)
    network = calculator.predictor.model.module
    return _backbone(
        "fairchem",
        model,
        calculator,
        network=network,
        cutoff=float(getattr(network.backbone, "cutoff", 6.0)),
        elements=CRYSTALS,
        device=device,
    )


def load_matgl(model: str, *, device: str, dtype: str) -> AseBackbone:  # noqa: ARG001 - single precision
    """Return a potential of MatGL: M3GNet, TensorNet, CHGNet (Ko et al. 2025).

    A path is the folder that `Potential.save` writes.
    """
    import matgl
    from matgl.ext.ase import PESCalculator

    potential = _load("matgl", model, matgl.load_model)
    potential.to(device).eval()
    calculator = PESCalculator(potential, stress_unit="eV/A3", use_voigt=True)
    return _backbone(
        "matgl",
        model,
        calculator,
        network=potential,
        cutoff=float(calculator.cutoff),
        elements=frozenset(calculator.element_types),
        device=device,
    )


def load_matris(model: str, *, device: str, dtype: str) -> AseBackbone:  # noqa: ARG001 - single precision
    """Return a MatRIS (Zhou et al., 2025)."""
    import torch
    from matris.applications.base import MatRISCalculator
    from matris.model.model import MatRIS

    def load(source: str) -> MatRIS:
        if not Path(source).is_file():
            return MatRIS.load(model_name=source, device=device)
        state = torch.load(source, map_location="cpu", weights_only=True)
        return MatRIS.from_dict(state).to(device)

    network = _load("matris", model, load).eval()
    with _handing_over(MatRIS, network):
        calculator = MatRISCalculator(device=device)
    return _backbone(
        "matris",
        model,
        calculator,
        network=network,
        cutoff=float(network.config["pairwise_cutoff"]),
        elements=CRYSTALS,
        device=device,
    )


def _load(
    family: str,
    model: str,
    load: Callable[[str], Any],
    known: Collection[str] = (),
) -> Any:
    """Return what a package makes of a name or path; its failures in one sentence."""
    package = PACKAGES[family]
    source = model or package.default
    is_path = Path(source).exists()
    if not source:
        msg = (
            f"{family} has no model of its own: give the path of one as backbone.name: "
            f"{family}:PATH ({package.models})"
        )
        raise BackboneError(msg)
    if known and not is_path and source not in known:
        msg = (
            f"{family} has no model {source!r}: expected {family}: and one of "
            f"{', '.join(sorted(known))}, or the path of a file"
        )
        raise BackboneError(msg)
    try:
        with _quietly():
            return load(source)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        if is_path:
            msg = f"{source} cannot be read as a model of {package.distribution}: {why}"
        else:
            msg = (
                f"the weights of {family}:{source} cannot be fetched by "
                f"{package.distribution} ({why}); download them where there is a "
                f"network, and give their path as backbone.name: {family}:PATH"
            )
        raise BackboneError(msg) from error


def _backbone(  # noqa: PLR0913 - what a backbone tells of itself
    family: str,
    model: str,
    calculator: Calculator,
    *,
    network: Any,
    cutoff: float,
    elements: frozenset[str],
    device: str,
) -> AseBackbone:
    import torch

    path = Path(model)
    return AseBackbone(
        calculator,
        name=f"{family}:{model}" if model else family,
        elements=elements,
        cutoff=float(cutoff),
        sha256=file_sha256(path) if path.is_file() else _digest(network),
        device=torch.device(device),
        dtype=torch.float64,
    )


def _digest(network: Any) -> str:
    """Return a hash of a network's weights, torch's or JAX's."""
    digest = hashlib.sha256()
    if hasattr(network, "state_dict"):
        for key, value in sorted(network.state_dict().items()):
            digest.update(key.encode())
            if hasattr(value, "detach"):
                digest.update(value.detach().cpu().numpy().tobytes())
    else:
        import jax
        import numpy as np

        for leaf in jax.tree_util.tree_leaves(network):
            if hasattr(leaf, "shape"):
                digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()


def _symbols(numbers: Collection[int]) -> frozenset[str]:
    return frozenset(chemical_symbols[int(z)] for z in numbers)


@contextlib.contextmanager
def _handing_over(kind: Any, network: Any) -> Iterator[None]:
    """Let a calculator that loads its network by a name take this one."""
    before = kind.load
    kind.load = lambda **_: network
    try:
        yield
    finally:
        kind.load = before


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Leave out what packages print when a model is made."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
