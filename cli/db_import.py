"""`fire db import`: finished calculations of others become labels."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.importing import Given, Imported, import_one
from cli.options import DEFAULT_BLOBS, DEFAULT_DB, Blobs, Database
from fire_core.campaign.views.theories import find_theories, only_theory
from fire_core.errors import StoreError
from fire_core.importing.formats import Format
from fire_core.importing.search import Search, find_calculations
from fire_core.labelling.theory import Theory
from fire_core.progress import tracked
from fire_core.storage.store import Store

UNKNOWN: Final = "unknown"


def import_files(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Files, patterns or folders: extxyz, vasprun.xml, OUTCAR, outputs of "
            "CP2K and pw.x, ASE databases."
        ),
    ],
    theory: Annotated[
        str | None,
        typer.Option(
            help="Name of the theory level, or its fingerprint; left out: as the files "
            "say it."
        ),
    ] = None,
    code: Annotated[
        str, typer.Option(help="Code and version of a new theory level.")
    ] = UNKNOWN,
    kind: Annotated[
        Format | None,
        typer.Option("--format", help="Format of all files; left out: recognised."),
    ] = None,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
) -> None:
    """Import labelled structures; say which frames were refused, and why.

    What did not converge or has no forces is never imported. Files of several theory
    levels are kept apart under several fingerprints.
    """
    search = find_calculations(files, kind)
    with Store.open(db, blobs) as store:
        given = None if theory is None else _given(store, theory, code)
        found = tracked(search.files.items(), "Importing files", len(search.files))
        done = [import_one(store, *item, given) for item in found]
    _show(done)
    _say_what_was_left(search)
    _end(done)


def _given(store: Store, theory: str, code: str) -> Given:
    """Return the theory level that a person names, and enter it if it is new."""
    found = find_theories(store, theory, None if code == UNKNOWN else code)
    if found:
        return Given(only_theory(found, theory).fingerprint)
    level = Theory(code, "imported", json.dumps({"name": theory}))
    store.theories.add(
        level.fingerprint, level.code, level.version, level.settings_json
    )
    return Given(level.fingerprint)


def _show(done: list[Imported]) -> None:
    table = Table("file", "frames", "added", "known already", "refused", "theory")
    for one in done:
        kinds = Counter(refusal.problem.kind for refusal in one.refused)
        numbers = (one.n_frames, len(one.added), len(one.known))
        table.add_row(
            escape(str(one.path)),
            *map(str, numbers),
            "\n".join(f"{n} {kind}" for kind, n in kinds.most_common(3)) or "0",
            "\n".join(one.theories) or "-",
        )
    Console().print(table)
    theories = dict(pair for one in done for pair in one.theories.items())
    for fingerprint, words in theories.items():
        if words:
            typer.echo(f"theory {fingerprint}: {words}")
    typer.echo(
        f"{sum(len(one.added) for one in done)} labels imported, "
        f"{sum(len(one.known) for one in done)} known already, "
        f"{sum(len(one.refused) for one in done)} refused"
        f" (theory {', '.join(theories) or 'none'})"
    )
    for one in done:
        place = "" if len(done) == 1 else f"{one.path} "
        for refusal in one.refused:
            number, problem = refusal.number, refusal.problem
            typer.echo(
                f"refused {place}frame {number}: {problem.kind}: {problem.detail}"
            )


def _say_what_was_left(search: Search) -> None:
    for path in search.same:
        typer.echo(f"left out {path}: vasprun.xml beside it has the same, more exactly")
    if search.others:
        typer.echo(f"left out {search.others} files that are not calculations")


def _end(done: list[Imported]) -> None:
    """Fail where a file was broken, said no theory level, or gave no label at all."""
    problems = [one.broken for one in done if one.broken]
    unsaid = [str(one.path) for one in done if one.n_unsaid]
    if unsaid:
        shown = " ".join(unsaid[:5]) + (" ..." if len(unsaid) > 5 else "")
        problems.append(
            f"{len(unsaid)} of the files do not say the theory level of their labels, "
            "which were not imported; type "
            f"`fire db import {shown} --theory NAME --code 'CODE VERSION'`"
        )
    if problems:
        raise StoreError("\n".join(problems))
    if not any(one.added or one.known for one in done):
        raise typer.Exit(1)
