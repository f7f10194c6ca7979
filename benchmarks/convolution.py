"""Time and memory of NequIP-like networks with e3nn's tensor products and with ours.

``python -m benchmarks.convolution [--network sevennet-0] [--atoms 416] [--quick]``.
Networks have SevenNet's shapes and random weights; the frame is rattled LiCl. Each
route runs in a process of its own, radial networks on each pair once: forces and
stress as in dynamics, and a training step, that is the gradient of a loss of energy,
forces and stress. Routes take turns; the least CPU time of the rounds counts, and the
most memory, above what the process held before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

ROUTES: Final = ("e3nn", "blocks", "compiled")
"""e3nn's product and a sum of its rows; ours by torch's operations; ours by numba."""

NETWORKS: Final[dict[str, tuple[tuple[tuple[int, ...], ...], int]]] = {
    "sevennet-0": (((128,), *[(128, 64, 32)] * 4, (128,)), 2),
    "sevennet-l3i5": (((128,), *[(128, 64, 32, 32)] * 4, (128,)), 3),
}
"""Channels of each degree before and after each layer, degree of the harmonics."""


def make_network(name: str, route: str) -> Any:
    """Return a network with the same random weights on any route."""
    import torch

    from fire_core.backbones.kernels.nequip import Architecture
    from fire_core.backbones.sevennet_weights import new_module, place

    channels, l_edge = NETWORKS[name]
    setting = Architecture(("Li", "Cl"), 5.0, channels, l_edge)
    module = new_module(setting, seed=0)
    for layer in module.layers:
        layer.denominator.fill_(30.0)
        if route == "e3nn":
            layer.convolution = _as_e3nn_has_it(layer.convolution)
        else:
            layer.convolution.sums.compiled = route == "compiled"
    device = torch.device("cpu")
    return place(module, device=device, dtype=torch.float32).requires_grad_(
        requires_grad=True
    )


def _as_e3nn_has_it(convolution: Any) -> Any:
    import torch
    from e3nn.o3 import Irreps, TensorProduct

    irreps = [
        Irreps([(n, (degree, 1)) for n, degree in parts])
        for parts in (
            [(n, degree) for degree, n in enumerate(convolution.channels)],
            [(1, degree) for degree in range(convolution.l_edge + 1)],
            [(convolution.channels[p.l_in], p.l_out) for p in convolution.paths],
        )
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes of e3nn on what torch deprecates
        product = TensorProduct(
            *irreps,
            [
                (p.l_in, p.l_edge, k, "uvu", True)
                for k, p in enumerate(convolution.paths)
            ],
            shared_weights=False,
            internal_weights=False,
        )

    class Convolution(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.product, self.n_out = product, convolution.n_out

        def forward(self, *args: Any) -> Any:
            x, harmonics, weights, senders, receivers, n_nodes = args
            weights = weights.repeat(2, 1)  # of both edges of each pair
            terms = self.product(x[senders], harmonics, weights)
            out = x.new_zeros(n_nodes, terms.shape[1])
            return out.index_add(0, receivers, terms)

    return Convolution()


def make_graph(n_atoms: int) -> Any:
    """Return rattled LiCl of about so many atoms as a graph."""
    import torch

    from fire_core.backbones.sevennet_graphs import join, to_graph
    from fire_core.structures.crystals import build_crystal

    cell = build_crystal("LiCl").repeat(2)
    atoms = cell.repeat((1, 1, 1 + (n_atoms - 1) // len(cell)))
    atoms.rattle(0.1, seed=0)
    graph = to_graph(atoms, index={"Li": 0, "Cl": 1}, cutoff=5.0, dtype=torch.float32)
    return join([graph], torch.device("cpu"))


def measure(network: str, route: str, n_atoms: int, rounds: int) -> dict[str, Any]:
    """Return times in seconds, peak memory in GiB, and numbers to compare."""
    from fire_core.backbones.sevennet_graphs import evaluate

    module, graph = make_network(network, route), make_graph(n_atoms)
    small = make_graph(1)
    found: dict[str, Any] = {}

    def infer(frame: Any) -> None:
        found["forces"] = evaluate(module, frame, stress=True, training=False).forces

    def train(frame: Any) -> None:
        module.zero_grad()
        out = evaluate(module, frame, stress=True, training=True)
        assert out.stress is not None
        loss = out.energy.square().mean() / frame.num_nodes**2
        loss = loss + out.forces.square().mean() + out.stress.square().mean()
        loss.backward()

    infer(small), train(small)  # compiles
    before = _forget_peak()
    times = {
        call.__name__: min(_time(call, graph) for _ in range(rounds))
        for call in (infer, train)
    }
    peak = _kib("VmHWM") - before
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return {
        **times,
        "memory": peak / 2**20,
        "atoms": graph.num_nodes,
        "edges": graph.num_edges,
        "forces": found["forces"].flatten().tolist(),
        "gradients": [float(g.double().norm()) for g in gradients],
    }


def _kib(field: str) -> int:
    """Return a number of this process's status, KiB (Linux)."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith(field))


def _forget_peak() -> int:
    """Let the most memory held begin from what is held now, KiB, and return that."""
    Path("/proc/self/clear_refs").write_text("5")
    return _kib("VmRSS")


def _time(call: Callable[[Any], None], graph: Any) -> float:
    start = time.process_time()
    call(graph)
    return time.process_time() - start


def _ask(network: str, route: str, n_atoms: int, rounds: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.convolution", "--child", route]
    command += ["--network", network, "--atoms", str(n_atoms), "--rounds", str(rounds)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return result


def _best(first: dict[str, Any] | None, second: dict[str, Any]) -> dict[str, Any]:
    if first is None:
        return second
    least = {key: min(first[key], second[key]) for key in ("infer", "train")}
    return {**second, **least, "memory": max(first["memory"], second["memory"])}


def _differ(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """Return the largest difference of forces and gradients, of the largest."""
    differences = {}
    for key in ("forces", "gradients"):
        a, b = np.array(ours[key]), np.array(theirs[key])
        differences[key] = float(np.abs(a - b).max() / np.abs(b).max())
    return differences


def main() -> None:
    """Print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.convolution", description=__doc__)
    parser.add_argument("--network", choices=NETWORKS, default="sevennet-0")
    parser.add_argument("--atoms", type=int, default=416)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--routes", nargs="+", choices=ROUTES, default=list(ROUTES))
    parser.add_argument("--quick", action="store_true", help="a look at the machinery")
    parser.add_argument("--child", choices=ROUTES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(args.network, args.child, args.atoms, args.rounds)))
        return
    n_atoms, rounds = (64, 1) if args.quick else (args.atoms, args.rounds)
    results: dict[str, Any] = {}
    for _ in range(1 if args.quick else 2):
        for route in args.routes:
            found = _ask(args.network, route, n_atoms, rounds)
            results[route] = _best(results.get(route), found)
    first = results[args.routes[0]]
    print(f"{args.network}, {first['atoms']} atoms, {first['edges']} edges")
    print(f"{'':10} {'forces':>9} {'training':>9} {'memory':>9}")
    facts: dict[str, Any] = {}
    for route, result in results.items():
        times = f"{result['infer']:7.3f} s {result['train']:7.3f} s"
        print(f"{route:10} {times} {result['memory']:5.2f} GiB")
        keys = ("infer", "train", "memory")
        facts[route] = {key: round(result[key], 3) for key in keys} | {
            "times_less": {key: round(first[key] / result[key], 2) for key in keys},
            "differences": _differ(result, first),
        }
    threads = os.environ.get("OMP_NUM_THREADS")
    about = {"network": args.network, "atoms": first["atoms"], "edges": first["edges"]}
    print(json.dumps({**about, "omp_threads": threads, "routes": facts}))


if __name__ == "__main__":
    main()
