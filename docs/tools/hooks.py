"""Hooks of the documentation site: generated pages, and links that leave docs/."""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the site is built from a checkout, not from a wheel

from mkdocs.structure.files import File, Files  # noqa: E402

from docs.tools.pages import GENERATED  # noqa: E402

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

LINK: Final = re.compile(r"(\]\()([^)#\s]+)(#[^)]*)?(\))")
SHOWN: Final = "repository"
"""Folder of the site that holds files of the repository which pages link to."""
ALWAYS: Final = (
    "benchmarks/RESULTS.md",
    "pretraining/README.md",
    "pretraining/MODEL_CARD.md",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add generated pages, and every repository file that a page links to."""
    for name, page in GENERATED.items():
        files.append(File.generated(config, name, content=page()))
    for path in _linked(files):
        source = str(ROOT / path)
        files.append(File.generated(config, f"{SHOWN}/{path}", abs_src_path=source))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links that leave docs/ to the copies in the site."""
    source = page.file.src_uri
    here = _repository_path(source)

    def moved(match: re.Match[str]) -> str:
        target = _outside(here, match.group(2))
        if target is None:
            return match.group(0)
        where = _site_path(target)
        if where is None:
            return match.group(0)
        link = posixpath.relpath(where, posixpath.dirname(source) or ".")
        return f"{match.group(1)}{link}{match.group(3) or ''}{match.group(4)}"

    return LINK.sub(moved, markdown)


def _repository_path(source: str) -> str:
    """Return where a page of the site lies in the repository."""
    if source.startswith(f"{SHOWN}/"):
        return source.removeprefix(f"{SHOWN}/")
    return f"docs/{source}"


def _site_path(path: str) -> str | None:
    """Return where a file of the repository lies in the site; None: it is not."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"{SHOWN}/{path}" if (ROOT / path).is_file() else None


def _outside(here: str, link: str) -> str | None:
    """Return a link's target in the repository; None where it stays in its part."""
    if re.match(r"[a-z]+:", link):
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(here), link))
    both = [path.startswith("docs/") for path in (here, target)]
    return None if all(both) or target.startswith("..") else target


def _linked(files: Files) -> list[str]:
    """Return the repository files outside docs/ that are shown in the site."""
    found = dict.fromkeys(ALWAYS)
    queue = [f"docs/{f.src_uri}" for f in files.documentation_pages()] + [*ALWAYS]
    while queue:
        page = queue.pop()
        if not (ROOT / page).is_file():
            continue  # generated
        for _, link, _, _ in LINK.findall((ROOT / page).read_text(encoding="utf-8")):
            target = _outside(page, link)
            if target is None or target in found or not _is_shown(target):
                continue
            found[target] = None
            queue += [target] if target.endswith(".md") else []
    return sorted(found)


def _is_shown(path: str) -> bool:
    return not path.startswith("docs/") and (ROOT / path).is_file()
