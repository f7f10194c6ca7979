"""Fill templates: whole pages, or the part that has changed."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dashboard.access.guard import csrf_of
from fire_core.properties.values import format_conditions, format_number, format_value
from fire_core.storage.approvals import ApprovalState

if TYPE_CHECKING:
    from fastapi import Request

    from fire_core.records import PropertyValue

HOUR: Final = 3600.0
PAGES: Final = (
    ("/", "Campaigns"),
    ("/structures", "Structures"),
    ("/labels", "Labels"),
    ("/approve", "Approve"),
    ("/models", "Models"),
    ("/properties", "Properties"),
    ("/system", "System"),
)
HEADLINES: Final = (
    *("conductivity", "self_diffusion", "activation_energy", "youngs_modulus"),
    *("poisson_ratio", "bulk_modulus", "shear_modulus", "resistance"),
)
"""Numbers that a list shows before others."""
FRAGMENT: Final = "x-fragment"
"""Header of a request for the content alone."""


def make_environment() -> Environment:
    """Return the templates with their filters."""
    environment = Environment(
        loader=PackageLoader("dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "time": show_time,
        "hours": lambda seconds: f"{seconds / HOUR:.2f}",
        "span": show_span,
        "short": lambda key: str(key)[:12],
        "figure": show_figure,
        "number": show_number,
        "from_json": json.loads,
        "value": format_value,
        "conditions": format_conditions,
        "headlines": lambda values: sorted(values, key=_rank),
        "entry": lambda pair: format_number(pair[0].value, pair[0].error, pair[1]),
    }
    environment.globals |= {"PAGES": PAGES, "VERSION": version("fire-mlip")}
    return environment


def show_time(seconds: float | None) -> Markup:
    """Return a time as an element that the browser words in the reader's zone."""
    if seconds is None:
        return Markup("–")
    when = datetime.fromtimestamp(seconds, UTC)
    text = f"{when:%Y-%m-%d %H:%M} UTC"
    return Markup('<time datetime="{}">{}</time>').format(when.isoformat(), text)


def show_span(seconds: float | None) -> str:
    """Return a span of time in words: the two largest units."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(int(seconds // 60), 60)
    if hours == 0:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def show_number(value: float | None, digits: int = 3) -> str:
    """Return a number with few digits, a dash for none."""
    return "–" if value is None else f"{value:.{digits}g}"


def _rank(value: PropertyValue) -> int:
    """Return the place of a number among those that a lab looks for first."""
    return HEADLINES.index(value.name) if value.name in HEADLINES else len(HEADLINES)


def show_figure(figure: dict[str, Any], name: str, label: str) -> Markup:
    """Return a plotly figure as an element that the browser draws.

    Parameters
    ----------
    figure
        `data` and `layout`.
    name
        Of the element, once on its page.
    label
        What it shows, for who cannot see it.
    """
    text = json.dumps(figure, separators=(",", ":")).replace("<", "\\u003c")
    return Markup(
        '<div class="plot" id="{}" role="img" aria-label="{}"></div>'
        '<script type="application/json" data-plot="{}">'
    ).format(name, label, name) + Markup(text + "</script>")  # noqa: S704 - escaped


def root_of(request: Request) -> str:
    """Return the path under which the dashboard lies, empty at the top.

    The API is an application of its own below it.
    """
    return str(request.scope.get("root_path", "")).removesuffix("/api/v1")


def render(request: Request, template: str, /, **facts: Any) -> Response:
    """Answer with a page; nothing new is said in a few bytes.

    Parameters
    ----------
    request
        Its session and visitor are shown; with the header `X-Fragment` the answer is
        the content alone.
    template
        Its name without suffix.
    **facts
        What it shows.
    """
    state = request.app.state
    visitor = facts.pop("visitor", None)
    pending = 0
    if visitor is not None:
        pending = state.store().approvals.count(ApprovalState.PENDING)
    is_fragment = FRAGMENT in request.headers
    status = facts.pop("status", 200)
    text = state.templates.get_template(f"{template}.html.j2").render(
        **facts,
        layout="fragment.html.j2" if is_fragment else "base.html.j2",
        request_path=request.url.path,
        root=root_of(request),
        visitor=visitor,
        csrf=csrf_of(request),
        pending_count=pending,
        settings=state.settings,
    )
    tag = '"' + hashlib.sha256(text.encode()).hexdigest()[:24] + '"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "X-Fragment, Cookie"}
    if status == 200 and request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return HTMLResponse(text, status_code=status, headers=headers)
