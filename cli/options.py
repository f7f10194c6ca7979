"""Options that several commands share: where the store is."""

from __future__ import annotations

from typing import Annotated

import typer

from fire_core.config.environment import BLOBS, DATABASE

DEFAULT_DB = "sqlite:///.fire/fire.db"
DEFAULT_BLOBS = ".fire/blobs"

Database = Annotated[
    str, typer.Option("--db", envvar=DATABASE, help="SQLAlchemy URL of the store.")
]
Blobs = Annotated[
    str, typer.Option("--blobs", envvar=BLOBS, help="Folder of the store's blobs.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
