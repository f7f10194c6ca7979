"""`fire properties impedance` and `fit-spectrum`: spectra without a property file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from cli.properties.running import measure
from fire_core.errors import ConfigError
from fire_core.properties.load import parse_property

Name = Annotated[str, typer.Option(help="What the measurement is called.")]
Thickness = Annotated[float, typer.Option(help="Between the electrodes, cm.")]
Area = Annotated[float, typer.Option(help="Of one electrode, cm².")]
GrainShare = Annotated[
    float | None,
    typer.Option(help="Grain boundaries: their thickness divided by the grains' size."),
]
Electrodes = Annotated[str, typer.Option(help="none, blocking or reversible.")]
Instrument = Annotated[
    str, typer.Option(help="csv, or whose file it is: gamry, biologic, zplot, …")
]
Results = Annotated[Path | None, typer.Option(help="Folder of figures and numbers.")]


def impedance(  # noqa: PLR0913, PLR0917 - a pellet has as many numbers
    conductivity: Annotated[
        float | None, typer.Option(help="Of the bulk, S/cm; or --transport.")
    ] = None,
    transport: Annotated[
        str | None, typer.Option(help="Finished transport measurement to take it from.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Temperature of that measurement, K.")
    ] = None,
    permittivity: Annotated[
        float, typer.Option(help="Relative, of the bulk; measured or assumed.")
    ] = 20.0,
    thickness: Thickness = 0.1,
    area: Area = 1.0,
    grain_share: GrainShare = None,
    grain_ratio: Annotated[
        float, typer.Option(help="Conductivity of a boundary over that of the bulk.")
    ] = 1e-2,
    electrodes: Electrodes = "blocking",
    measured: Annotated[
        Path | None, typer.Option(help="Measured spectrum, to be drawn and fitted too.")
    ] = None,
    instrument: Instrument = "csv",
    name: Name = "impedance",
    results: Results = None,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Compute the impedance of a pellet from its bulk conductivity."""
    if (conductivity is None) == (transport is None):
        got = "both" if transport else "neither"
        msg = f"expected --conductivity or --transport, got {got}"
        raise ConfigError(msg)
    source: dict[str, Any] = {"source": "given", "value": conductivity}
    if transport is not None:
        source = {"source": "transport", "measurement": transport}
    if temperature is not None:
        source["temperature"] = temperature
    settings = _pellet(thickness, area, electrodes) | {
        "conductivity": source,
        "permittivity": permittivity,
    }
    if grain_share is not None:
        settings["grain_boundary"] = {
            "thickness_share": grain_share,
            "conductivity_ratio": grain_ratio,
        }
    if measured is not None:
        settings["measured"] = {"file": str(measured), "instrument": instrument}
    _run(settings, {"name": name, "results": results}, (db, blobs), as_json=as_json)


def fit_spectrum(  # noqa: PLR0913, PLR0917 - a pellet and a fit
    file: Annotated[Path, typer.Argument(help="Measured spectrum.")],
    instrument: Instrument = "csv",
    circuit: Annotated[
        str | None,
        typer.Option(help="impedance.py's notation, such as R0-p(R1,CPE1)-CPE2."),
    ] = None,
    bulk: Annotated[str, typer.Option(help="Which resistance is the bulk's.")] = "R1",
    thickness: Thickness = 0.1,
    area: Area = 1.0,
    grain_share: GrainShare = None,
    electrodes: Electrodes = "blocking",
    low: Annotated[float | None, typer.Option(help="Leave out below, Hz.")] = None,
    high: Annotated[float | None, typer.Option(help="Leave out above, Hz.")] = None,
    name: Name = "fit-spectrum",
    results: Results = None,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Fit a circuit to a measured spectrum; say whether it can be trusted."""
    fitted = {
        "file": str(file),
        "instrument": instrument,
        "circuit": circuit,
        "bulk": bulk,
        "low": low,
        "high": high,
    }
    settings = _pellet(thickness, area, electrodes)
    settings["measured"] = {k: v for k, v in fitted.items() if v is not None}
    if grain_share is not None:
        settings["grain_boundary"] = {"thickness_share": grain_share}
    _run(settings, {"name": name, "results": results}, (db, blobs), as_json=as_json)


def _pellet(thickness: float, area: float, electrodes: str) -> dict[str, Any]:
    return {
        "kind": "impedance",
        "thickness": thickness,
        "area": area,
        "electrodes": {"kind": electrodes},
    }


def _run(
    settings: dict[str, Any],
    run: dict[str, Any],
    store: tuple[str, str],
    *,
    as_json: bool,
) -> None:
    raw = {
        "name": run["name"],
        "measure": settings,
        "store": {"url": store[0], "blobs": store[1]},
        "results": None if run["results"] is None else str(run["results"]),
    }
    measure(parse_property(raw, origin="options", base=Path()), as_json=as_json)
