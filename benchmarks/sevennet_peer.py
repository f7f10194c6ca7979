"""SevenNet's own package, asked by another interpreter: its numbers and its times.

It runs in an environment that has `sevenn` (e3nn 0.5 or newer), which MACE's cannot
have. A request, JSON on standard input, names a model, a type and frames; the answer is
JSON on standard output. Words behind the command replace what the request says::

    PYTHON benchmarks/sevennet_peer.py model=sevennet-0 < request.json > answer.json
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from typing import Any

CHECKPOINTS = {
    "sevennet-0": "7net-0",
    "sevennet-l3i5": "7net-l3i5",
    "sevennet-mf-0": "7net-mf-0",
}
MODES = {"sevennet-mf-0": "PBE"}

Seconds = tuple[float, float]
"""Of the wall and of the processor."""


def load(name: str, dtype: str) -> Any:
    """Return a network of the package.

    In double precision its couplings are made anew: those that it has are rounded to
    single precision.
    """
    import torch
    from e3nn.o3 import wigner_3j
    from sevenn.util import load_checkpoint

    model = load_checkpoint(CHECKPOINTS[name]).build_model()
    torch.set_default_dtype(getattr(torch, dtype))
    model = model.to(getattr(torch, dtype))
    for key, value in model.named_buffers():
        if "w3j_" in key and dtype == "float64":
            degrees = map(int, key.split("w3j_")[1].split("_"))
            exact = wigner_3j(*degrees, dtype=torch.float64)
            value.copy_(exact * (1 if float((exact * value).sum()) > 0 else -1))
    first = model.get_submodule("onehot_to_feature_x")
    first.register_forward_pre_hook(in_default_type)
    return model


def in_default_type(_: Any, inputs: tuple[dict[str, Any], ...]) -> None:
    """Cast what the package's one-hot layer makes, which is always single precision."""
    import torch

    for key in ("x", "node_attr"):
        inputs[0][key] = inputs[0][key].to(torch.get_default_dtype())


def batch_of(request: dict[str, Any], frames: list[dict[str, Any]]) -> Any:
    """Return frames as a batch of the package."""
    import torch
    from ase import Atoms
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.train.dataload import unlabeled_atoms_to_graph
    from torch_geometric.loader.dataloader import Collater

    graphs = []
    for frame in frames:
        atoms = Atoms(
            frame["numbers"],
            positions=frame["positions"],
            cell=frame["cell"],
            pbc=frame["pbc"],
        )
        found = unlabeled_atoms_to_graph(atoms, request["cutoff"])
        vectors = torch.tensor(found["edge_vec"], dtype=torch.float64)
        graph = AtomGraphData.from_numpy_dict(found)
        # the package rounds these to single precision
        graph["edge_vec"] = vectors
        graph["cell_volume"] = torch.tensor(atoms.get_volume(), dtype=torch.float64)
        if request["model"] in MODES:
            graph["data_modality"] = MODES[request["model"]]
        graphs.append(graph)
    batch = Collater([], None, None)(graphs)
    kind = torch.get_default_dtype()
    for key in batch.keys():  # noqa: SIM118 - no mapping
        if torch.is_tensor(batch[key]) and batch[key].is_floating_point():
            batch[key] = batch[key].to(kind)
    return batch


def predict(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return energies (eV), forces (eV/Å) and stresses (eV/Å³) in ASE's conventions."""
    model = load(request["model"], request["dtype"]).eval()
    answers = []
    for frame in request["frames"]:
        out = model(batch_of(request, [frame]))
        xx, yy, zz, xy, yz, zx = (-out["inferred_stress"][0].detach()).tolist()
        answers.append(
            {
                "energy": float(out["inferred_total_energy"].detach()[0]),
                "forces": out["inferred_force"].detach().tolist(),
                "stress": [xx, yy, zz, yz, zx, xy],
            }
        )
    return answers


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Return the least seconds of a prediction, of a step of MD, of one of training."""
    import torch

    torch.set_num_threads(int(request["threads"]))
    model = load(request["model"], "float32")
    batch = batch_of(request, request["frames"])
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=1e-9)

    def infer() -> None:
        model.eval()
        model(batch.clone())

    def step() -> None:
        model.train()
        out = model(batch.clone())
        optimiser.zero_grad()
        loss = out["inferred_force"].square().mean()
        loss = loss + (out["inferred_total_energy"] / 1e3).square().sum()
        (loss + out["inferred_stress"].square().mean()).backward()
        optimiser.step()

    repeats = int(request["repeats"])
    found = {
        "infer": least(infer, repeats),
        "dynamics": seconds_of_dynamics(request),
        "train": least(step, repeats),
    }
    wall = {task: value for task, (value, _) in found.items()}
    processor = {f"{task}_cpu": value for task, (_, value) in found.items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return wall | processor | {"peak_gb": peak / 2**20}


def seconds_of_dynamics(request: dict[str, Any]) -> Seconds:
    """Return seconds of a step of velocity Verlet at 300 K, by its ASE calculator."""
    from ase import Atoms, units
    from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
    from ase.md.verlet import VelocityVerlet
    from sevenn.calculator import SevenNetCalculator

    atoms = Atoms(**request["frames"][0])
    atoms.calc = SevenNetCalculator(
        CHECKPOINTS[request["model"]], modal=MODES.get(request["model"]), device="cpu"
    )
    MaxwellBoltzmannDistribution(atoms, temperature_K=300)
    dynamics = VelocityVerlet(atoms, units.fs)
    n_steps = int(request["md_steps"])
    dynamics.run(1)
    wall, processor = least(lambda: dynamics.run(n_steps), int(request["repeats"]))
    return wall / n_steps, processor / n_steps


def least(call: Any, repeats: int) -> Seconds:
    """Return the least wall and processor seconds of several calls after a first."""
    call()
    wall, processor = [], []
    for _ in range(repeats):
        begin, used = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - begin)
        processor.append(time.process_time() - used)
    return min(wall), min(processor)


def main() -> None:
    """Answer the request on standard input."""
    warnings.simplefilter("ignore")
    request = json.load(sys.stdin) | dict(word.split("=") for word in sys.argv[1:])
    answer = {"predict": predict, "measure": measure}[request["task"]](request)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
