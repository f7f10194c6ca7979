"""Which checks of a contract a backbone does not pass."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from fire_core.errors import FireError
from tests.plugin.src.fire_plugin_example.backbone import PairBackbone, PairPotential
from tests.training.conftest import rattled

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path


def cases(contract: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the checks of a contract, one for each set of its parameters."""
    for name, method in inspect.getmembers(contract, inspect.ismethod):
        if not name.startswith("test_"):
            continue
        marks = [
            m for m in getattr(method, "pytestmark", []) if m.name == "parametrize"
        ]
        if marks:
            argument, values = marks[0].args
            yield from ((name, {argument: value}) for value in values)
        else:
            yield name, {}


def failed(
    contract: object, backbone: Any, folder: Path, *, only: Collection[str] = ()
) -> set[str]:
    """Return the checks that a backbone does not pass, of all or of some."""
    found = set()
    for number, (name, arguments) in enumerate(cases(contract)):
        if only and name.removeprefix("test_") not in only:
            continue
        check = getattr(contract, name)
        place = folder / str(number)
        place.mkdir(parents=True)
        with pytest.MonkeyPatch.context() as patch:
            have = {
                "backbone": backbone,
                "atoms": rattled("LiF", 1, 2)[0],
                "tmp_path": place,
                "monkeypatch": patch,
            }
            wanted = inspect.signature(check).parameters.keys() & have.keys()
            try:
                check(**{k: have[k] for k in wanted}, **arguments)
            except (AssertionError, FireError, RuntimeError, pytest.fail.Exception):
                found.add(name.removeprefix("test_"))
    return found


def pair(kind: type[PairBackbone] = PairBackbone) -> PairBackbone:
    import torch

    return kind(PairPotential(torch.float64), torch.float64)
