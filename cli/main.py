"""The console command `fire`: campaigns, labels, models, studies, systems."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from cli.backbone import app as backbone
from cli.campaign import app as campaign
from cli.config import app as config
from cli.dashboard import dashboard
from cli.db import app as db
from cli.doctor import doctor
from cli.label import app as label
from cli.model import app as model
from cli.people import app as people
from cli.prefect_run import explain_absent_server
from cli.progress import terminal_listener
from cli.properties.main import app as properties
from cli.replay import app as replay
from cli.service.deploy import deploy
from cli.service.serve import serve
from cli.service.watch import watch
from cli.study import app as study
from cli.system import app as system
from cli.theory import app as theory
from fire_core.errors import FireError
from fire_core.progress import listening

app = typer.Typer(
    no_args_is_help=True,
    help="FIRE: fine-tune interatomic potentials for battery interfaces.",
    pretty_exceptions_show_locals=False,
)
app.add_typer(
    backbone, name="backbone", help="Foundation models: list, install, check."
)
app.add_typer(campaign, name="campaign", help="Run, watch and report campaigns.")
app.add_typer(config, name="config", help="Check campaign files; print the schema.")
app.add_typer(db, name="db", help="Import, export, copy, back up and count.")
app.add_typer(label, name="label", help="Look at failed labels; try them again.")
app.add_typer(model, name="model", help="Check, promote, roll back, export models.")
app.add_typer(people, name="people", help="Who may sign in to the dashboard.")
app.add_typer(properties, name="properties", help="Measure properties of models.")
app.add_typer(replay, name="replay", help="Sets of pre-training frames: index.")
app.add_typer(study, name="study", help="Compare trainings over sizes and seeds.")
app.add_typer(system, name="system", help="Crystals and interfaces.")
app.add_typer(theory, name="theory", help="Theory levels and their convergence.")
app.command(name="doctor")(doctor)
app.command(name="serve")(serve)
app.command(name="dashboard")(dashboard)
app.command(name="deploy")(deploy)
app.command(name="watch")(watch)


def main() -> None:
    """Run the command; an expected error is one message and exit status 1."""
    try:
        with listening(terminal_listener()):
            app()
    except FireError as error:
        _end(str(error))
    except RuntimeError as error:
        words = explain_absent_server(error)
        if words is None:
            raise
        _end(words)


def _end(words: str) -> None:
    text = f"[red]error:[/red] {escape(words)}"
    Console(stderr=True).print(text, highlight=False, soft_wrap=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
