"""From pages to HTML: Jinja with escaping on, so that text from a stranger's files stays text.

Three layers keep such text from doing anything. Every value is escaped where it is printed, and its
control characters are written as escapes. Data for the scripts is JSON without a `<`, `>` or `&`,
and the scripts make text nodes of it. And a Content-Security-Policy allows no script but the files
in `assets/`, no style but theirs, no image but those inside the page, and no request to anywhere.
"""

from __future__ import annotations

import functools
import json
import re
import urllib.parse
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from validators.presenting.printable import printable

# The style that Observable Plot writes into each of its pictures (`@observablehq/plot` 0.6.17).
_STYLE_OF_PLOTS = "'sha256-jSYQUrW7J0b3jPqhZP9C2Xh1PyJKHKXd4s0fpGGKrww='"
# `file:` is what `'self'` stands for where a browser gives a page from the disk no origin.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' file:",
        f"style-src 'self' file: {_STYLE_OF_PLOTS}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
_UNSAFE_IN_SCRIPTS = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026"}
# None of them stands in an entity, which a break must not part.
_SEPARATOR = re.compile(r"[_/.-]+")


class BareValue(TypeError):
    """A template prints what has no form as text: our own mistake."""


def render(template: str, **values: Any) -> bytes:
    """Fill in one of `templates/`; the result is a whole HTML document in UTF-8."""
    text = _environment().get_template(template).render(**values)
    return text.encode("utf-8")


def embedded_json(value: object) -> Markup:
    """JSON for a `<script type="application/json">`: ASCII, and nothing in it ends the element."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character, written in _UNSAFE_IN_SCRIPTS.items():
        text = text.replace(character, written)
    return Markup(text)  # noqa: S704 - no character of it opens or ends markup


def breakable(name: str) -> Markup:
    """A name that may be broken into lines after its separators, and is copied as it is."""
    escaped = str(escape(printable(name)))
    return Markup(_SEPARATOR.sub(r"\g<0><wbr>", escaped))  # noqa: S704 - escaped above


def explanation_html(text: str) -> Markup:
    """A check's page, which is Markdown of this tool's own; HTML in it stays text."""
    return Markup(_markdown().render(text))  # noqa: S704 - markdown-it escapes what it is given


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("release.report_page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["embedded_json"] = embedded_json
    environment.filters["explanation"] = explanation_html
    environment.filters["breakable"] = breakable
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["fragment"] = lambda text: "#" + urllib.parse.quote(text)
    environment.globals["content_security_policy"] = CONTENT_SECURITY_POLICY
    return environment


def _shown(value: Any) -> Any:
    """What stands in the page for a value: text without control characters, or a whole number.

    Raises:
        BareValue: it is neither; a number with decimals or a None needs a form of its own.
    """
    if isinstance(value, Markup):
        return value
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BareValue(f"a template prints {value!r:.80}")


@functools.cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")
