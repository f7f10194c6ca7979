"""Names of an open set: FIRE's own lead somewhere; mistakes of packages are told."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from fire_core import extensions
from fire_core.config.load import parse_campaign
from fire_core.config.open_sets import GATES, LABELLERS, SELECTORS
from fire_core.config.theory import OWN_THEORIES
from fire_core.errors import ExtensionError
from fire_core.evaluation.gates.gate import Gate
from fire_core.selection.candidates import Selector

SYSTEM = {"kind": "file", "path": "cell.cif"}


def install(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    """Let packages add labellers: pairs of a name and where it leads."""
    found = tuple(EntryPoint(n, v, LABELLERS.group) for n, v in points)
    monkeypatch.setattr(
        extensions, "_entry_points", lambda group: found if "labellers" in group else ()
    )


def test_every_name_of_fires_own_leads_to_its_record() -> None:
    for name in LABELLERS.builtin:
        labeller = LABELLERS.load(name)
        assert labeller.settings is OWN_THEORIES[name]
        assert labeller.settings.model_fields["kind"].default == name
    assert set(OWN_THEORIES) == set(LABELLERS.builtin)
    for name in SELECTORS.builtin:
        assert isinstance(SELECTORS.load(name), Selector)
    for name in GATES.builtin:
        assert isinstance(GATES.load(name), Gate)


def test_a_package_that_cannot_be_imported_is_told_where_it_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, ("broken", "no_such_package.labeller:LABELLER"))
    assert parse_campaign({"name": "a", "system": SYSTEM}).theory.kind == "xtb"
    with pytest.raises(ExtensionError, match="labeller 'broken' of a package cannot"):
        parse_campaign({"name": "a", "system": SYSTEM, "theory": {"kind": "broken"}})


@pytest.mark.parametrize("names", [("mine", "mine"), ("xtb",)])
def test_two_of_one_name_are_told(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, *((name, "json:loads") for name in names))
    with pytest.raises(ExtensionError, match=f"called '{names[0]}', but .* has one of"):
        LABELLERS.names()
