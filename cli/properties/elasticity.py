"""`fire properties elasticity`: the elastic tensor and moduli of a crystal."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from cli.properties.options import (
    Asked,
    Crystal,
    Model,
    RequestName,
    Results,
    Threads,
    crystal_or_file,
    make_request,
    plain_name,
)


def elasticity(  # noqa: PLR0913 - one parameter for each option
    crystal: Crystal,
    *,
    model: Model = "fire-mini",
    temperature: Annotated[
        float, typer.Option(help="K; above 0 by molecular dynamics.")
    ] = 0.0,
    repeat: Annotated[
        tuple[int, int, int], typer.Option(help="Repeats of the crystal's cell.")
    ] = (1, 1, 1),
    steps: Annotated[
        int | None, typer.Option(help="MD steps of each strained cell.")
    ] = None,
    symmetry: Annotated[
        str | None, typer.Option(help="average, reduce or none.")
    ] = None,
    name: RequestName = None,
    threads: Threads = 0,
    results: Results = None,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Measure the elastic tensor and moduli of a crystal."""
    from cli.properties.running import measure

    settings: dict[str, Any] = {"kind": "elasticity"}
    if temperature > 0:
        settings = {"kind": "thermal_elasticity", "temperature": temperature}
    given = {"steps": steps, "symmetry": symmetry}
    settings |= {key: value for key, value in given.items() if value is not None}
    made = plain_name(crystal, model, "elasticity")
    if temperature > 0:
        made = plain_name(made, f"{temperature:g}k")
    asked = Asked(
        name or made,
        crystal_or_file(crystal, repeat),
        model,
        threads,
        db,
        blobs,
        results,
    )
    measure(make_request(asked, settings), as_json=as_json)
