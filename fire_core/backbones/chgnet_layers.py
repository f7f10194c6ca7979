"""A CHGNet's forward pass on its own weights, in fewer operations.

The equations are the package's (chgnet 0.4.2; Deng et al., Nat. Mach. Intell. 5 (2023)
1031, Methods). Three things differ, none of which changes the numbers:

- the first linear layer of a message acts on atoms and bonds before they are gathered
  for directed bonds and angles, of which there are many more;
- what is only felt within 3 Å (bond features' updates) is computed for those bonds;
- the last update of angles, which nothing reads, is left out.

Geometry is in double precision, and forces and stress follow from the energy's slopes
with the bonds' vectors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fire_core.backbones.chgnet_graphs import Angles, find_angles, find_short

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from fire_core.backbones.chgnet_graphs import ChgnetBatch


@dataclass(frozen=True, slots=True, eq=False)
class ChgnetOutput:
    """What a CHGNet says of a batch, without reference energies.

    Attributes
    ----------
    energies
        Of each atom, (n_atoms,), eV, in the weights' type.
    forces
        (n_atoms, 3), eV/Å, float64.
    stress
        (n_graphs, 3, 3), eV/Å³, positive under tension, float64; of a graph that does
        not repeat in all directions it means nothing.
    """

    energies: torch.Tensor
    forces: torch.Tensor
    stress: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Geometry:
    """Bases of bonds and angles, (n, 31) each, and where they belong.

    `short` are the bonds that enter angles; `left` and `right` count among them.
    """

    bonds: torch.Tensor
    short_bonds: torch.Tensor
    angles: torch.Tensor
    short: torch.Tensor
    center: torch.Tensor
    left: torch.Tensor
    right: torch.Tensor


def compute(model: Any, batch: ChgnetBatch, *, create_graph: bool) -> ChgnetOutput:
    """Return energies, forces and stresses; with `create_graph`, to be differentiated.

    Parameters
    ----------
    model
        A `chgnet.model.CHGNet`.
    batch
        Structures.
    create_graph
        Whether forces and stresses are to be differentiated by the weights.
    """
    import torch

    with torch.enable_grad():
        vectors = batch.vectors.detach().requires_grad_(requires_grad=True)
        energies = _readout(model, read_features(model, batch, vectors))
        (slopes,) = torch.autograd.grad(
            energies.sum(), vectors, create_graph=create_graph
        )
    first, second = batch.pairs
    forces = slopes.new_zeros(len(batch.numbers), 3)
    forces = forces.index_add(0, first, -slopes).index_add(0, second, slopes)
    virial = vectors.detach()[:, :, None] * slopes[:, None, :]
    stress = virial.new_zeros(len(batch.volumes), 3, 3)
    stress = stress.index_add(0, batch.owner[first], virial)
    return ChgnetOutput(energies, forces, stress / batch.volumes[:, None, None])


def read_features(
    model: Any, batch: ChgnetBatch, vectors: torch.Tensor
) -> torch.Tensor:
    """Return the features that each atom's energy is read from, (n_atoms, k)."""
    import torch

    geometry = _measure(model, batch, vectors)
    atoms = model.atom_embedding(batch.numbers - 1)
    bonds = model.bond_embedding(geometry.bonds)
    weights = model.bond_weights_ag(geometry.bonds)
    short_weights = model.bond_weights_bg(geometry.short_bonds)
    there_are_angles = len(geometry.angles) > 0
    angles = model.angle_embedding(geometry.angles) if there_are_angles else None
    places = torch.cat([batch.pairs, batch.pairs.flip(0)], dim=1)
    last = len(model.atom_conv_layers) - 1
    for i, layer in enumerate(model.atom_conv_layers):
        atoms = _convolve_atoms(layer, atoms, bonds, weights, places)
        if i == last or angles is None:
            continue
        bond_layer, angle_layer = model.bond_conv_layers[i], model.angle_layers[i]
        if bond_layer is None:
            continue
        short = bonds.index_select(0, geometry.short)
        bonds = bonds.index_add(
            0,
            geometry.short,
            _bond_updates(bond_layer, atoms, short, short_weights, angles, geometry),
        )
        if angle_layer is not None and i + 1 < last:
            short = bonds.index_select(0, geometry.short)
            angles = _update_angles(angle_layer, atoms, short, angles, geometry)
    return atoms if model.readout_norm is None else model.readout_norm(atoms)


def _readout(model: Any, features: torch.Tensor) -> torch.Tensor:
    """Return the energy of each atom, (n_atoms,), eV, without its reference."""
    energies: torch.Tensor = model.mlp(features)[:, 0]
    return energies


def _measure(model: Any, batch: ChgnetBatch, vectors: torch.Tensor) -> _Geometry:
    """Return bases of lengths and angles."""
    import torch

    dtype = model.bond_embedding.weight.dtype
    lengths = torch.linalg.vector_norm(vectors, dim=1)
    encoder = model.bond_basis_expansion
    reach = float(model.graph_converter.bond_graph_cutoff)
    bonds = find_short(batch, lengths.detach(), reach)
    short = bonds.index
    near = lengths[short]
    found: Angles = find_angles(batch.pairs[:, short], bonds.counts, bonds.n_angles)
    directions = vectors[short] / near[:, None]
    directions = torch.cat([directions, -directions])
    cosines = (
        directions.index_select(0, found.left) * directions.index_select(0, found.right)
    ).sum(dim=1)
    # as the package: keeps acos' slope finite where three atoms are in line
    angles = torch.acos(cosines * (1 - 1e-6)).to(dtype)
    return _Geometry(
        encoder.rbf_expansion_ag(lengths.to(dtype)),
        encoder.rbf_expansion_bg(near.to(dtype)),
        _fourier(model.angle_basis_expansion.fourier_expansion, angles),
        short,
        found.center,
        found.left % max(len(short), 1),
        found.right % max(len(short), 1),
    )


def _fourier(expansion: Any, angles: torch.Tensor) -> torch.Tensor:
    """Return the package's Fourier basis of angles, (n_angles, 31), made in one go."""
    import torch

    waves = torch.outer(angles, expansion.frequencies)
    constant = torch.full_like(angles[:, None], math.sqrt(0.5))
    basis = torch.cat([constant, torch.sin(waves), torch.cos(waves)], dim=1)
    return basis / math.sqrt(math.pi)


def _convolve_atoms(
    layer: Any,
    atoms: torch.Tensor,
    bonds: torch.Tensor,
    weights: torch.Tensor,
    places: torch.Tensor,
) -> torch.Tensor:
    """Return atoms' features after messages along bonds, both ways."""
    both = len(bonds)
    columns = _split(layer.twoBody_atom, (atoms, bonds, atoms))
    to_first, of_bonds, from_second = columns
    messages = to_first.index_select(0, places[0])
    messages = messages + from_second.index_select(0, places[1])
    messages = (messages.unflatten(0, (2, both)) + of_bonds).flatten(0, 1)
    messages = _gate(layer.twoBody_atom, messages)
    messages = (messages.unflatten(0, (2, both)) * weights).flatten(0, 1)
    summed = atoms.new_zeros(atoms.shape).index_add(0, places[0], messages)
    return _finish(layer, summed, atoms, layer.atom_norm)


def _bond_updates(
    layer: Any,
    atoms: torch.Tensor,
    bonds: torch.Tensor,
    weights: torch.Tensor,
    angles: torch.Tensor,
    geometry: _Geometry,
) -> torch.Tensor:
    """Return what is added to the features of bonds that enter angles."""
    update = _angle_messages(layer.twoBody_bond, atoms, bonds, angles, geometry)
    update = update * weights.index_select(0, geometry.left)
    update = update * weights.index_select(0, geometry.right)
    summed = bonds.new_zeros(bonds.shape).index_add(0, geometry.left, update)
    return layer.mlp_out(summed) if layer.use_mlp_out else summed


def _update_angles(
    layer: Any,
    atoms: torch.Tensor,
    bonds: torch.Tensor,
    angles: torch.Tensor,
    geometry: _Geometry,
) -> torch.Tensor:
    """Return the features of angles after those of their bonds and atom."""
    update = _angle_messages(layer.twoBody_bond, atoms, bonds, angles, geometry)
    return update + angles if layer.resnet else update


def _angle_messages(
    gated: Any,
    atoms: torch.Tensor,
    bonds: torch.Tensor,
    angles: torch.Tensor,
    geometry: _Geometry,
) -> torch.Tensor:
    left, right, of_angles, at_center = _split(gated, (bonds, bonds, angles, atoms))
    messages = of_angles + left.index_select(0, geometry.left)
    messages = messages + right.index_select(0, geometry.right)
    return _gate(gated, messages + at_center.index_select(0, geometry.center))


def _split(gated: Any, parts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return each part times its columns of the first weights of core and gate."""
    import torch

    core, gate = (_first(mlp) for mlp in (gated.mlp_core, gated.mlp_gate))
    weight = torch.cat([core.weight, gate.weight])
    pieces = torch.split(weight, [part.shape[1] for part in parts], dim=1)
    return [part @ w.T for part, w in zip(parts, pieces, strict=True)]


def _gate(gated: Any, first: torch.Tensor) -> torch.Tensor:
    """Return a gated perceptron's output from its first layer's, biases not added."""
    import torch

    values = []
    both = torch.chunk(first, 2, dim=1)
    for mlp, value in zip((gated.mlp_core, gated.mlp_gate), both, strict=True):
        linear = _first(mlp)
        place = list(mlp.layers).index(linear)
        result = value if linear.bias is None else value + linear.bias
        for layer in list(mlp.layers)[place + 1 :]:
            result = layer(result)
        values.append(result)
    core, gate = values
    if gated.norm is not None:
        core, gate = gated.bn1(core), gated.bn2(gate)
    return gated.activation(core) * gated.sigmoid(gate)


def _first(mlp: Any) -> Any:
    """Return the first linear layer of a perceptron."""
    return next(layer for layer in mlp.layers if hasattr(layer, "in_features"))


def _finish(layer: Any, summed: torch.Tensor, before: torch.Tensor, norm: Any) -> Any:
    """Return features after their messages: mixed, added to those before, normed."""
    result = layer.mlp_out(summed) if layer.use_mlp_out else summed
    result = result + before if layer.resnet else result
    return result if norm is None else norm(result)


def reference_energies(
    model: Any,
    numbers: torch.Tensor,
    owner: torch.Tensor,
    n_graphs: int | None = None,
) -> torch.Tensor:
    """Return the sum of each graph's reference energies, (n_graphs,), eV, float64.

    Parameters
    ----------
    model
        A `chgnet.model.CHGNet`.
    numbers, owner
        Atomic number of each atom and the graph that it belongs to, (n_atoms,).
    n_graphs
        How many there are; None: the host reads it, and waits for the device.
    """
    table = model.composition_model.fc.weight.detach()[0].double()
    values = table[numbers - 1]
    if n_graphs is None:
        n_graphs = int(owner[-1]) + 1
    return values.new_zeros(n_graphs).index_add(0, owner, values)
