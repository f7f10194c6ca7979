"""CHGNet models: built, read, written, and what they say of graphs."""

from __future__ import annotations

import contextlib
import io
import warnings
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.backbones.chgnet_graphs import join
from fire_core.backbones.chgnet_layers import compute, read_features, reference_energies
from fire_core.backbones.neutral import is_neutral, read_neutral
from fire_core.errors import BackboneError
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fire_core.backbones.chgnet_graphs import ChgnetGraph

VOIGT: Final = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def published_model() -> Any:
    """Return CHGNet 0.3.0 with the weights of its wheel, on the CPU."""
    with _quietly():
        from chgnet.model import CHGNet

        return CHGNet.load(use_device="cpu", verbose=False)


def build_model(arguments: Mapping[str, Any]) -> Any:
    """Return a CHGNet of an architecture (`CHGNet.model_args`) with random weights.

    Raises
    ------
    BackboneError
        Its energy is not a sum over atoms with reference energies, or it has dropout.
    """
    with _quietly():
        from chgnet.model import CHGNet

        model = CHGNet(**arguments)
    dropout = float(arguments.get("conv_dropout", 0))
    if not model.mlp_first or model.composition_model is None or dropout:
        msg = (
            "expected a CHGNet whose energy is a sum over atoms (mlp_first) with "
            "reference energies (composition_model) and without dropout in its "
            "convolutions, as the published ones are, got "
            f"mlp_first={model.mlp_first}, "
            f"composition_model={type(model.composition_model).__name__}, "
            f"conv_dropout={dropout:g}"
        )
        raise BackboneError(msg)
    return model


def read_model(path: Path) -> Any:
    """Return the model of a file, its weights in the type that they were written in.

    Raises
    ------
    BackboneError
        The file is not there, or is none of CHGNet.
    """
    if is_neutral(path):
        from fire_core.backbones.chgnet_neutral import FAMILY, chgnet_from_neutral

        return chgnet_from_neutral(read_neutral(path, family=FAMILY))
    import pickle

    import torch

    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)["model"]
        weights = kept["state_dict"]
        model = build_model(kept["model_args"])
        model = model.to(weights["bond_embedding.weight"].dtype)
        model.load_state_dict(weights)
    except (OSError, RuntimeError, KeyError, TypeError, pickle.PickleError) as error:
        msg = (
            f"expected chgnet, or chgnet: and the path of a model trained from it, got "
            f"{path}, which cannot be read ({error})"
        )
        raise BackboneError(msg) from error
    return model


def pack_model(model: Any) -> bytes:
    """Return a model as the bytes of a file that `CHGNet.from_file` reads.

    Weights keep their type; the package takes them in single precision.
    """
    import torch

    state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    buffer = io.BytesIO()
    kept = {"state_dict": state, "model_args": model.model_args}
    torch.save({"model": kept}, buffer)
    return buffer.getvalue()


def predict_graphs(
    model: Any, graphs: Sequence[ChgnetGraph], device: Any
) -> list[Label]:
    """Return the labels of graphs in one pass; energies in double precision.

    A structure that does not repeat in all directions has no stress.
    """
    batch = join(graphs, device)
    output = compute(model, batch, create_graph=False)
    energies = reference_energies(
        model, batch.numbers, batch.owner, len(graphs)
    ).index_add(0, batch.owner, output.energies.detach().double())
    forces = output.forces.cpu().numpy()
    stresses = output.stress.cpu().numpy()
    return [
        Label(
            float(energies[i]),
            np.array(forces[a:b]),
            np.array([stresses[i][j] for j in VOIGT]) if graph.periodic else None,
        )
        for i, (graph, (a, b)) in enumerate(zip(graphs, _ends(graphs), strict=True))
    ]


def features_of_graphs(
    model: Any, graphs: Sequence[ChgnetGraph], device: Any
) -> list[NDArray[np.float64]]:
    """Return for each graph what the readout takes of its atoms, (n_atoms, k)."""
    import torch

    batch = join(graphs, device)
    with torch.no_grad():
        features = read_features(model, batch, batch.vectors)
    values = features.cpu().double().numpy()
    return [np.array(values[a:b]) for a, b in _ends(graphs)]


def _ends(graphs: Sequence[ChgnetGraph]) -> list[tuple[int, int]]:
    bounds = np.cumsum([0, *(graph.num_nodes for graph in graphs)])
    return list(pairwise(bounds.tolist()))


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Leave out what CHGNet prints when it is made."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
