"""The records of decisions: short, dated, complete, and all in the index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "decisions"
RECORDS = sorted(FOLDER.glob("0*.md"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda p: p.stem)
def test_a_record_has_its_parts(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 40
    head = (
        rf"# {int(record.stem[:4])}\. .+\n\n- Date: \d{{4}}-\d\d-\d\d\n- Status: .+\n"
    )
    assert re.match(head, text)
    assert re.findall(r"^## (.+)", text, re.MULTILINE) == [
        *("Context", "Decision", "Consequences")
    ]


def test_the_index_lists_every_record_with_its_title_and_date() -> None:
    rows = re.findall(
        r"^\| \[(\d+)\]\((.+)\) \| (.+) \| (.+) \|$",
        (FOLDER / "index.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    wanted = []
    for number, record in enumerate(RECORDS, start=1):
        title, _, date = record.read_text(encoding="utf-8").splitlines()[:3]
        words = (title.removeprefix(f"# {number}. "), date.removeprefix("- Date: "))
        wanted.append((str(number), record.name, *words))
    assert rows == wanted
