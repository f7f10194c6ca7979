"""`fire db`: import, export and count labels."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True)
