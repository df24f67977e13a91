from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from jinja2 import DictLoader

from cards import templating
from cards.context import card_context
from cards.templating import TemplateProblem, render_template

TEMPLATES = Path(templating.__file__).parent / "templates"
# Words of the field that carry a digit without stating a number.
NAMES_WITH_DIGITS = {"L0", "SHA-256"}
SUPERLATIVES = (
    "best|strongest|first-ever|state-of-the-art|novel|striking|outperforms?|remarkabl[ey]|robust"
)


def template_files() -> list[Path]:
    return sorted(TEMPLATES.rglob("*.j2"))


def prose(path: Path) -> str:
    """The words of a template that stand there as they are: no expressions, no code."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", " ", text, flags=re.DOTALL)
    text = re.sub(r"```.*?```", " ", text, flags=re.DOTALL)
    return re.sub(r"`[^`]*`", " ", text)


@pytest.mark.parametrize("path", template_files(), ids=lambda path: path.name)
def test_no_template_states_a_number_of_its_own(path: Path) -> None:
    if path.name.endswith(".py.j2"):
        return
    words = re.findall(r"[\w-]*\d[\w.-]*", prose(path))
    assert [word for word in words if word not in NAMES_WITH_DIGITS] == []


@pytest.mark.parametrize("path", template_files(), ids=lambda path: path.name)
def test_no_template_praises_what_it_describes(path: Path) -> None:
    assert re.findall(rf"\b(?:{SUPERLATIVES})\b", prose(path), flags=re.IGNORECASE) == []


def test_every_partial_is_included_by_some_template() -> None:
    included = set()
    for path in template_files():
        included |= set(re.findall(r'include "([^"]+)"', path.read_text(encoding="utf-8")))
    partials = {path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.glob("partials/*")}
    assert included == partials


@pytest.fixture
def render(monkeypatch: pytest.MonkeyPatch, release):
    """Render a template given as text with the context of the hand-made release."""

    def rendered(source: str) -> str:
        monkeypatch.setattr(templating, "PackageLoader", lambda _: DictLoader({"t": source}))
        return render_template("t", card_context(release.sources))

    return rendered


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("{{ no_such_name }}", "no_such_name"),
        ("{{ results.no_such_metric }}", "no_such_metric"),
        ("{% for row in results.rows %}{{ row.ce_recovered }}{% endfor %}", "ce_recovered"),
        ("{{ base_model.revision }}", "None"),
        ("{{ 0.5 }}", "0.5"),
        ("{{ true }}", "True"),
        ("{{ results.rows }}", "tuple"),
        ("{{ '' }}", "empty"),
        ("{{ ' ' }}", "empty"),
        ("{{ title.__class__.__mro__ }}", "unsafe"),
        ("{% include 'absent' %}", "absent"),
        ("{% if %}", "expected"),
    ],
)
def test_a_template_that_prints_what_is_not_there_stops_the_card(
    render: Any, source: str, named: str
) -> None:
    with pytest.raises(TemplateProblem, match=re.escape(named)):
        render(source)


def test_text_is_escaped_and_markdown_is_not(render: Any) -> None:
    assert render("{{ 'a*b' }} {{ 'a*b' | code }} {{ 1234 }} {{ 1234 | count }}") == (
        "a\\*b <code>a\\*b</code> 1234 1,234\n"
    )


def test_gaps_are_closed_outside_code_blocks_only(render: Any) -> None:
    assert render("a\n\n\n\nb\n\n```python\nx\n\n\ny\n```\n\n\n\nc\n\n\n") == (
        "a\n\nb\n\n```python\nx\n\n\ny\n```\n\nc\n"
    )
