"""Options that several commands share: where the store is."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_DB = "sqlite:///.fire/fire.db"
DEFAULT_BLOBS = ".fire/blobs"

Database = Annotated[str, typer.Option("--db", help="SQLAlchemy URL of the store.")]
Blobs = Annotated[str, typer.Option("--blobs", help="Folder of the store's blobs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
