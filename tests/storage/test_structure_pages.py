"""Structures are found by each of their traits, and shown with all that became."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk
from sqlalchemy import inspect

from fire_core.errors import StoreError
from fire_core.records import Failure, FailureKind, Frame, FrameTag, Pick, Split
from fire_core.storage.claims import LeaseTerms
from fire_core.storage.properties import PropertyAsked
from fire_core.storage.selections import SelectionRow
from fire_core.storage.structure_pages import StructureFilter
from fire_core.storage.tables import StructureRow
from tests.storage.conftest import THEORY, make_frames, make_label

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.storage.store import Store

OTHER = "theory-2"
TERMS = LeaseTerms(60.0, 3)


def fill(store: Store) -> list[tuple[str, Atoms]]:
    """Structures of three compositions, added in three batches."""
    batches = [
        make_frames(5),
        [bulk("NaCl", "rocksalt", a=5.6 + 0.01 * i) for i in range(4)],
        [bulk("Li", a=3.4 + 0.01 * i) for i in range(3)],
    ]
    known = []
    for number, batch in enumerate(batches):
        keys = store.structures.add(batch, source=f"batch {number}")
        known += list(zip(keys, batch, strict=True))
    store.theories.add(OTHER, "code", "2", "{}")
    keys = [key for key, _ in known]
    store.campaigns.open("salt", "{}")
    store.selections.save("salt", 1, "selected", SelectionRow("kmeans", keys[::2]))
    store.labels.want(keys[:8], THEORY)
    store.labels.want(keys[4:], OTHER)
    for claim in store.labels.claim(THEORY, "w", limit=6, terms=TERMS)[:4]:
        label = make_label(dict(known)[claim.key])
        store.labels.finish(claim.label_id, "w", label, core_seconds=1.0)
    return known


def states_of(store: Store, theory: str) -> dict[str, str]:
    return {row.key: row.state.value for row in store.labels.rows(theory)}


@pytest.mark.parametrize(
    "wanted",
    [
        StructureFilter(),
        StructureFilter(formula="ClNa"),
        StructureFilter(elements=("Li",)),
        StructureFilter(elements=("Cl", "Li")),
        StructureFilter(elements=("U",)),
        StructureFilter(least=2),
        StructureFilter(most=2),
        StructureFilter(least=2, most=7),
        StructureFilter(campaign="salt"),
        StructureFilter(campaign="sugar"),
        StructureFilter(state="done"),
        StructureFilter(state="claimed", theory=THEORY),
        StructureFilter(theory=OTHER),
        StructureFilter(state="wanted", theory=OTHER, campaign="salt", most=2),
    ],
)
def test_a_filter_finds_what_a_search_of_all_finds(
    store: Store, wanted: StructureFilter
) -> None:
    known = fill(store)
    chosen = {"salt": {key for key, _ in known[::2]}}
    states = {theory: states_of(store, theory) for theory in (THEORY, OTHER)}

    def fits(key: str, atoms: Atoms) -> bool:
        labels = [
            state[key]
            for theory, state in states.items()
            if key in state and wanted.theory in {None, theory}
        ]
        asks_label = wanted.state is not None or wanted.theory is not None
        return (
            wanted.formula in {None, atoms.get_chemical_formula()}
            and set(wanted.elements) <= set(atoms.symbols)
            and (wanted.least or 0) <= len(atoms) <= (wanted.most or 99)
            and (wanted.campaign is None or key in chosen.get(wanted.campaign, ()))
            and (not asks_label or wanted.state in labels or
                 (wanted.state is None and bool(labels)))
        )  # fmt: skip

    expected = {key for key, atoms in known if fits(key, atoms)}
    found = store.structures.find(wanted)
    assert {line.key for line in found} == expected
    order = [(line.created_at, line.key) for line in found]
    assert order == sorted(order, reverse=True)


@pytest.mark.parametrize("size", [1, 2, 5, 12])
def test_pages_show_each_structure_once(store: Store, size: int) -> None:
    known = {key for key, _ in fill(store)}
    seen: list[str] = []
    after = None
    for _ in itertools.count():
        page = store.structures.find(StructureFilter(), after=after, most=size)
        if not page:
            break
        seen += [line.key for line in page]
        after = (page[-1].created_at, page[-1].key)
    assert len(seen) == len(known)
    assert set(seen) == known


def test_formulas_are_told_once_and_few_of_many(store: Store) -> None:
    fill(store)
    assert store.structures.formulas() == ["Cl4Li4", "ClNa", "Li"]
    assert store.structures.formulas(2) == ["Cl4Li4", "ClNa"]


def test_a_story_has_run_choice_label_set_and_property(store: Store) -> None:
    frames = make_frames(2)
    store.campaigns.open("salt", "{}")
    sha = store.blobs.put_bytes(b"weights")
    for name in ("fire", "also"):
        store.models.add("salt", name, sha, parent_sha=None, config_json="{}")
    run = store.runs.open("salt", 1, "explore", sha, "{}")
    tags = [FrameTag(sha, 3, 450.0, 40 * i) for i in range(2)]
    moved = [Frame(a, tag, -7.5) for a, tag in zip(frames, tags, strict=True)]
    store.runs.save_segment(run, 0, moved, b"state", [])
    keys = [row.key for row in store.runs.frames(run)]
    picks = [Pick(i, i, 4, 9, 0.25) for i in range(2)]
    store.selections.save("salt", 1, "selected", SelectionRow("kmeans", keys, picks))
    store.datasets.save("salt", "fire", {keys[1]: Split.VALID})
    store.properties.open(
        PropertyAsked("a" * 64, "lif", "b" * 64, "density", "fire", sha, keys[1],
                      "Cl4Li4", "{}")
    )  # fmt: skip
    label = make_label(frames[1])
    store.labels.add({keys[1]: label}, THEORY)

    story = store.structures.describe(keys[1][:16])

    assert story.line.key == keys[1]
    (frame,) = story.frames
    assert (frame.replica, frame.step, frame.temperature) == (3, 40, 450.0)
    assert (frame.model, frame.model_name, frame.run) == (sha, "also", run)
    assert story.choices[0].pick == picks[1]
    assert [(m.dataset, m.split) for m in story.members] == [("fire", "valid")]
    assert [(p.name, p.finished_at) for p in story.properties] == [("lif", None)]
    numbers = story.numbers[THEORY]
    assert numbers.energy == label.energy
    assert numbers.largest_force == pytest.approx(
        max(float(np.sqrt(f @ f)) for f in label.forces)
    )
    assert label.stress is not None
    # 1 eV/Å³ is 160.2177 GPa; a cell that pushes outwards has negative stress in ASE.
    assert numbers.pressure == pytest.approx(-160.2177 * label.stress[:3].mean())


def test_a_failed_label_has_no_numbers_and_keeps_its_folder(store: Store) -> None:
    keys = store.structures.add(make_frames(1), source="test")
    store.labels.want(keys, THEORY)
    (claim,) = store.labels.claim(THEORY, "w", limit=1, terms=TERMS)
    why = Failure(FailureKind.CRASHED, "broke", "log", "/scratch/7")
    store.labels.fail(claim.label_id, "w", why, 2.0)
    story = store.structures.describe(keys[0])
    assert story.labels[0].workdir == "/scratch/7"
    assert story.numbers[THEORY].energy is None
    assert story.numbers[THEORY].largest_force is None


def test_the_beginning_of_a_key_names_it_unless_two_share_it(store: Store) -> None:
    keys = store.structures.add(make_frames(40), source="test")
    for key in keys:
        assert store.structures.find_key(key[:12]) == key
    letters = [key[0] for key in keys]
    shared = max(letters, key=letters.count)
    with pytest.raises(StoreError, match="more than one structure begins"):
        store.structures.find_key(shared)
    with pytest.raises(StoreError, match="no structure"):
        store.structures.find_key("0" * 64)


def test_runs_and_rounds_are_found_by_what_they_are_for(store: Store) -> None:
    keys = store.structures.add(make_frames(2), source="test")
    for name in ("b", "a"):
        store.campaigns.open(name, "{}")
    for name, round_ in (("b", 2), ("b", 1), ("a", 1)):
        store.selections.save(name, round_, "selected", SelectionRow("kmeans", keys))
    store.selections.save("a", 0, "start", SelectionRow("build", keys))
    assert store.selections.rounds("selected") == [("a", 1), ("b", 1), ("b", 2)]
    runs = [store.runs.open("a", 1, "explore", model, "{}") for model in "xy"]
    store.runs.open("a", 1, "test", "x", "{}")
    assert store.runs.find("a", 1, "explore") == runs
    assert store.runs.find("a", 2, "explore") == []


def test_migrations_leave_the_indexes_that_the_tables_declare(store: Store) -> None:
    table = StructureRow.metadata.tables["structure"]
    declared = {
        str(index.name): [column.name for column in index.columns]
        for index in table.indexes
    }
    there = {
        str(index["name"]): index["column_names"]
        for index in inspect(store.engine).get_indexes("structure")
    }
    assert there == declared
