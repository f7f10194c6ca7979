"""Small networks of other packages with random weights, each in its own format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def write_sevenn(folder: Path) -> str:
    import sevenn
    import torch
    from sevenn._const import model_defaults
    from sevenn.model_build import build_E3_equivariant_model

    torch.manual_seed(1)
    species = [3, 9, 17]
    config: dict[str, Any] = {
        "cutoff": 4.0,
        "channel": 4,
        "lmax": 2,
        "num_convolution_layer": 2,
        "weight_nn_hidden_neurons": [8],
        "radial_basis": {"radial_basis_name": "bessel", "bessel_basis_num": 4},
        "cutoff_function": {"cutoff_function_name": "XPLOR", "cutoff_on": 3.0},
        "chemical_species": ["Li", "F", "Cl"],
        "_number_of_species": 3,
        "_type_map": {z: i for i, z in enumerate(species)},
        "is_parity": False,
        "self_connection_type": "linear",
        "shift": [-1.0, -2.0, -3.0],
        "scale": 1.5,
        "conv_denominator": [3.0, 3.0],
        "version": sevenn.__version__,
        "_model_type": "E3_equivariant_model",
    }
    config = {**model_defaults(config), **config}
    model = build_E3_equivariant_model(dict(config))
    path = folder / "sevenn.pth"
    state = {"config": config, "model_state_dict": model.state_dict(), "epoch": 0}
    torch.save(state, path)
    return str(path)


def write_mattersim(folder: Path) -> str:
    import torch
    from mattersim.forcefield.m3gnet.m3gnet import M3Gnet
    from mattersim.forcefield.potential import Potential

    torch.manual_seed(1)
    network = M3Gnet(device="cpu", num_blocks=2, units=16)
    network.normalizer.scale.data.fill_(100.0)  # forces of some 0.1 eV/Å
    path = folder / "mattersim.pth"
    Potential(network, device="cpu").save(str(path))
    return str(path)


def write_orb(folder: Path) -> str:
    import torch
    from orb_models.forcefield import pretrained

    torch.manual_seed(1)
    made = {}
    original = pretrained.load_model
    pretrained.load_model = lambda model, *_, **__: made.setdefault("it", model)
    try:
        pretrained.orb_v3_conservative_inf_omat(device="cpu")
    finally:
        pretrained.load_model = original
    path = folder / "orb-v3-conservative-inf-omat-random.ckpt"
    torch.save(made["it"].state_dict(), path)
    return str(path)


def write_nequix(folder: Path) -> str:
    import jax
    from nequix.model import Nequix, save_model

    config: dict[str, Any] = {
        "hidden_irreps": "8x0e + 4x1o",
        "lmax": 1,
        "cutoff": 4.0,
        "n_layers": 2,
        "radial_basis_size": 4,
        "radial_mlp_size": 8,
        "radial_mlp_layers": 1,
        "radial_polynomial_p": 6.0,
        "mlp_init_scale": 4.0,
        "index_weights": False,
        "layer_norm": True,
        "shift": 0.0,
        "scale": 1.0,
        "avg_n_neighbors": 20.0,
    }
    numbers = [3, 9, 17]
    network = Nequix(
        key=jax.random.key(1),
        n_species=len(numbers),
        kernel=False,
        atom_energies=[-1.0, -2.0, -3.0],
        **config,
    )
    path = folder / "nequix.nqx"
    save_model(str(path), network, config | {"atomic_numbers": numbers})
    return str(path)


def write_deepmd(folder: Path) -> str:
    import torch
    from deepmd.pt.model.model import get_model

    torch.manual_seed(1)
    settings: dict[str, Any] = {
        "type_map": ["Li", "F", "Cl"],
        "descriptor": {
            "type": "dpa1",
            "rcut": 4.0,
            "rcut_smth": 3.0,
            "sel": 60,
            "neuron": [4, 8],
            "axis_neuron": 4,
            "attn": 8,
            "attn_layer": 0,
            "seed": 1,
        },
        "fitting_net": {"neuron": [8, 8], "seed": 1},
    }
    network = get_model(settings)
    network.eval()
    path = folder / "deepmd.pth"
    torch.jit.save(torch.jit.script(network), str(path))
    return str(path)


def write_matgl(folder: Path) -> str:
    import torch
    from matgl.apps.pes import Potential
    from matgl.models import TensorNet

    torch.manual_seed(1)
    network = TensorNet(
        element_types=("Li", "F", "Cl"),
        units=8,
        num_rbf=4,
        nblocks=1,
        cutoff=4.0,
        is_intensive=False,
    )
    path = folder / "matgl"
    path.mkdir()
    Potential(network, data_std=300.0, element_refs=[-1.0, -2.0, -3.0]).save(path)
    return str(path)


def write_matris(folder: Path) -> str:
    import torch
    from matris.model.model import MatRIS

    torch.manual_seed(1)
    network = MatRIS(
        num_layers=2,
        node_feat_dim=16,
        edge_feat_dim=16,
        three_body_feat_dim=16,
        mlp_hidden_dims=(16, 16),
        reference_energy="MPtrj",
    )
    path = folder / "matris.pth.tar"
    torch.save({"config": network.config, "state_dict": network.state_dict()}, path)
    return str(path)


def write_upet(folder: Path) -> str:
    import torch
    from metatrain.pet import PET
    from metatrain.utils.architectures import get_default_hypers
    from metatrain.utils.data import DatasetInfo
    from metatrain.utils.data.target_info import get_energy_target_info

    torch.manual_seed(1)
    hypers = get_default_hypers("pet")["model"]
    hypers |= {"cutoff": 4.0, "d_pet": 8, "d_node": 8, "d_head": 8, "num_heads": 2}
    hypers |= {"d_feedforward": 8, "num_attention_layers": 1, "num_gnn_layers": 1}
    target = get_energy_target_info(
        "energy",
        {"quantity": "energy", "unit": "eV"},
        add_position_gradients=True,
        add_strain_gradients=True,
    )
    facts = DatasetInfo("angstrom", [3, 9, 17], {"energy": target})
    network = PET(hypers, facts)
    path = folder / "upet.ckpt"
    checkpoint = network.get_checkpoint()
    torch.save(checkpoint, path)
    return str(path)
