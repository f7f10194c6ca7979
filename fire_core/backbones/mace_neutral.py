"""MACE models as neutral weights, and back: no pickle of mace-torch is read or written.

mace-torch saves a model as a pickle of its own classes, which another release need not
load. Here a model is the arguments of its constructor, as JSON, beside its weights and
buffers (`backbones.neutral`). What the arguments are is read from the model's layers,
as `extract_config_mace_model` of mace-torch 0.3.16 does, which knows no plain `MACE`.
"""

from __future__ import annotations

import json
import math
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from fire_core.backbones.neutral import NeutralModel
from fire_core.backbones.torch_types import default_dtype, dtype_name
from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

FAMILY: Final = "mace"
CLASSES: Final = ("ScaleShiftMACE", "MACE")
"""Classes of mace-torch that predict energies and forces alone."""
RADIAL: Final = {
    "BesselBasis": "bessel",
    "GaussianBasis": "gaussian",
    "ChebychevBasis": "chebyshev",
}
TRANSFORMS: Final = {"AgnesiTransform": "Agnesi", "SoftTransform": "Soft"}
PLAIN: Final = (
    *("use_reduced_cg", "use_so3", "use_edge_irreps_first"),
    *("use_agnostic_product", "use_last_readout_only"),
)
"""Switches that a model keeps under the name of the argument; absent: off."""
ENERGIES: Final = "atomic_energies_fn.atomic_energies"
SCALE, SHIFT = "scale_shift.scale", "scale_shift.shift"


def mace_to_neutral(model: Any) -> NeutralModel:
    """Return a MACE model, of one or several readout heads, as neutral weights.

    Weights that single precision holds exactly are kept in it, whatever type the model
    has in memory.

    Raises
    ------
    BackboneError
        It is of a class, or has layers, that cannot be described.
    """
    kind = type(model).__name__
    if kind not in CLASSES:
        msg = (
            f"expected a model of one of {', '.join(CLASSES)}, got a {kind}, which has "
            "no neutral form; keep the file of mace-torch"
        )
        raise BackboneError(msg)
    try:
        arguments = _arguments(model)
        json.dumps(arguments)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = (
            f"the layers of this {kind} cannot be described ({error!r}); keep the file "
            "of mace-torch"
        )
        raise BackboneError(msg) from error
    tensors = _smallest(model.state_dict())
    hyperparameters = {
        "class": kind,
        "dtype": dtype_name(tensors[ENERGIES].dtype),
        "arguments": arguments,
    }
    notice = {"library": f"mace-torch {version('mace-torch')}"}
    return NeutralModel(FAMILY, hyperparameters, tensors, notice)


def mace_from_neutral(neutral: NeutralModel) -> Any:
    """Return the network of neutral weights, in the type that they are kept in.

    Raises
    ------
    BackboneError
        The weights are no MACE model that the installed mace-torch can build.
    """
    import torch
    from mace import modules

    told = neutral.hyperparameters
    if neutral.family != FAMILY or told.get("class") not in CLASSES:
        msg = (
            f"expected neutral weights of {' or '.join(CLASSES)}, got those of "
            f"{neutral.family} {told.get('class', '')}"
        )
        raise BackboneError(msg)
    try:
        arguments = _constructible(told["arguments"], neutral.tensors)
        with (
            torch.random.fork_rng(devices=[]),
            default_dtype(getattr(torch, told["dtype"])),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # notes of e3nn on what torch deprecates
            model = getattr(modules, told["class"])(**arguments)
        model.load_state_dict(dict(neutral.tensors))
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        made_by = neutral.notice.get("library", "another release of mace-torch")
        msg = (
            f"mace-torch {version('mace-torch')} cannot build this model of {made_by} "
            f"({error}); install that release: pip install '{_requirement(made_by)}'"
        )
        raise BackboneError(msg) from error
    return model.eval()


def _arguments(model: Any) -> dict[str, Any]:
    """Return a constructor's arguments as what JSON can hold.

    Reference energies, scale and shift are not among them: they are tensors.
    """
    if getattr(model, "cueq_config", None) or getattr(model, "oeq_config", None):
        msg = "layers of another library; change them back to MACE's own first"
        raise ValueError(msg)
    radial, products = model.radial_embedding, model.products
    hidden = str(products[0].linear.irreps_out)
    transform = getattr(radial, "distance_transform", None)
    heads = list(getattr(model, "heads", None) or ["Default"])
    edge = getattr(model, "edge_irreps", None)
    arguments = {
        "r_max": float(model.r_max),
        "num_bessel": int(radial.out_dim),
        "num_polynomial_cutoff": _number(radial.cutoff_fn.p),
        "max_ell": int(model.spherical_harmonics._lmax),  # noqa: SLF001 - kept there alone
        "interaction_cls": type(model.interactions[-1]).__name__,
        "interaction_cls_first": type(model.interactions[0]).__name__,
        "num_interactions": int(model.num_interactions),
        "num_elements": len(model.atomic_numbers),
        "hidden_irreps": hidden,
        "edge_irreps": None if edge is None else str(edge),
        "avg_num_neighbors": float(model.interactions[0].avg_num_neighbors),
        "atomic_numbers": [int(z) for z in model.atomic_numbers],
        "correlation": [_correlation(product) for product in products],
        "radial_type": RADIAL[type(radial.bessel_fn).__name__],
        "radial_MLP": _radial_layers(model.interactions[0]),
        "distance_transform": "None"
        if transform is None
        else TRANSFORMS[type(transform).__name__],
        "pair_repulsion": hasattr(model, "pair_repulsion_fn"),
        "apply_cutoff": bool(getattr(model, "apply_cutoff", True)),
        "heads": heads,
        "keep_last_layer_irreps": len(products) > 1
        and str(products[-1].linear.irreps_out) == hidden
        and any(ir.l > 0 for _, ir in products[0].linear.irreps_out),
        "embedding_specs": getattr(model, "embedding_specs", None),
        "use_embedding_readout": hasattr(model, "embedding_readout"),
    }
    switches = {name: bool(getattr(model, name, False)) for name in PLAIN}
    return arguments | switches | _readout(model.readouts[-1], len(heads))


def _readout(readout: Any, n_heads: int) -> dict[str, Any]:
    """Return the arguments that say what the last readout is."""
    from mace import modules

    if not hasattr(readout, "hidden_irreps"):  # a model of one layer
        return {
            "readout_cls": "NonLinearReadoutBlock",
            "MLP_irreps": "1x0e",
            "gate": "None",
        }
    parts = [(mul // n_heads, irrep) for mul, irrep in readout.hidden_irreps]
    gate = readout.non_linearity.acts[0]
    function = getattr(gate, "f", gate)
    (name,) = (k for k, known in modules.gate_dict.items() if known is function)
    return {
        "readout_cls": type(readout).__name__,
        "MLP_irreps": "+".join(f"{mul}x{irrep}" for mul, irrep in parts),
        "gate": name,
    }


def _constructible(
    told: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]
) -> dict[str, Any]:
    """Return the arguments as the constructor takes them."""
    from e3nn import o3
    from mace import modules

    arguments = dict(told)
    for name in ("interaction_cls", "interaction_cls_first"):
        arguments[name] = modules.interaction_classes[told[name]]
    arguments["readout_cls"] = modules.readout_classes[told["readout_cls"]]
    arguments["gate"] = modules.gate_dict[told["gate"]]
    for name in ("hidden_irreps", "MLP_irreps", "edge_irreps"):
        arguments[name] = None if told[name] is None else o3.Irreps(told[name])
    arguments["atomic_energies"] = tensors[ENERGIES].numpy()
    if SCALE in tensors:
        arguments["atomic_inter_scale"] = tensors[SCALE].numpy()
        arguments["atomic_inter_shift"] = tensors[SHIFT].numpy()
    return arguments


def _smallest(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors in single precision where that changes none of their values."""
    import torch

    tensors = {name: value.detach().cpu() for name, value in state.items()}
    real = [value for value in tensors.values() if value.is_floating_point()]
    if all(torch.equal(value, value.float().to(value.dtype)) for value in real):
        return {
            name: value.float() if value.is_floating_point() else value
            for name, value in tensors.items()
        }
    return tensors


def _correlation(product: Any) -> int:
    contractions = product.symmetric_contractions
    try:
        return len(contractions.contractions[0].weights) + 1
    except AttributeError:
        return int(contractions.contraction_degree)


def _radial_layers(interaction: Any) -> list[int]:
    """Return the widths of the hidden layers of the radial network."""
    network = interaction.conv_tp_weights
    if hasattr(network, "hs"):
        return [int(width) for width in network.hs[1:-1]]
    # mace-torch's RadialMLP: Linear, LayerNorm, SiLU for each hidden layer
    return [
        int(network.net[k].normalized_shape[0]) for k in range(1, len(network.net), 3)
    ]


def _number(value: Any) -> int | float:
    number = float(value)
    return int(number) if math.isfinite(number) and number == int(number) else number


def _requirement(library: str) -> str:
    name, _, release = library.partition(" ")
    return f"{name}=={release}" if name == "mace-torch" and release else "mace-torch"
