"""Flow: run a study, cell after cell, and report it."""

from __future__ import annotations

from prefect import flow

from fire_core.config.study import StudyConfig
from tasks.progress import Progress
from tasks.study import (
    prepare_study,
    publish_study,
    run_study_cell,
    write_study_report,
)


@flow(name="fire-study", flow_run_name="{config.name}")
def study_flow(config: StudyConfig) -> str:
    """Run a study, or what is left of it; return the path of its page.

    Finished cells are never run again, an interrupted one goes on after its last
    committed epoch, and a failed one does not stop the others.
    """
    cells = prepare_study(config)
    title = f"Cells of study {config.name}"
    with Progress(config.key, title, len(cells)) as progress:
        for number, name in cells:
            run_study_cell(config, number, name)
            progress.advance()
    page = write_study_report(config)
    publish_study(config, page)
    return page
