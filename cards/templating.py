"""Jinja in a sandbox, in which a name that is missing or a value without a form stops the card."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import platformdirs
from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    DictLoader,
    FileSystemBytecodeCache,
    PackageLoader,
    StrictUndefined,
    TemplateError,
    Undefined,
)
from jinja2.bccache import Bucket
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cards.escaping import Markdown, code_span, code_spans, markdown_text, python_literal
from cards.numbers import count, counted
from manifests.errors import ReleaseError


class TemplateProblem(ReleaseError):
    """A template that asks for a value that is not there, or prints one that has no form."""


def render_template(name: str, context: object, overrides: Mapping[str, str] | None = None) -> str:
    """Fill in one template of `cards/templates`; the result ends with one newline.

    Args:
        name: the template, relative to `cards/templates`.
        context: a dataclass, whose fields it may print.
        overrides: partials, by such names, that stand in place of ours (`cards.overrides`).

    Raises:
        TemplateProblem: the template is unknown or broken, names an unknown value, or prints an
            empty text, a bare float, a boolean or None.
    """
    own = tuple(sorted((overrides or {}).items()))
    environment = _environment(PackageLoader, own)
    try:
        text = environment.get_template(name).render(vars(context))
    except TemplateError as error:
        raise TemplateProblem(
            f"cannot be rendered: {error.message or type(error).__name__}",
            where=", with your own ".join([f"cards/templates/{name}", *(path for path, _ in own)]),
            expected="names that cards/context.py defines",
        ) from error
    return _one_blank_line(text).rstrip("\n") + "\n"


def _one_blank_line(text: str) -> str:
    """Close the gaps that conditions leave, outside code blocks; no value can start a fence."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [re.sub(r"\n{3,}", "\n\n", part) for part in parts[::2]]
    return "".join(parts)


# Cards that share their templates share the compiled ones: compiling takes most of a card's time.
@functools.lru_cache(maxsize=8)
def _environment(
    ours: Callable[[str], BaseLoader], overrides: tuple[tuple[str, str], ...]
) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=ChoiceLoader([DictLoader(dict(overrides)), ours("cards")]),
        bytecode_cache=_compiled_before(),
        undefined=StrictUndefined,
        finalize=_printed,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        newline_sequence="\n",
    )
    environment.filters.update(
        code=code_span, codes=code_spans, count=count, counted=counted, python=python_literal
    )
    return environment


def _compiled_before() -> FileSystemBytecodeCache | None:
    """Templates compiled by an earlier run, by the digest of their text; None: no place for them.

    Compiling takes longer than anything else about a card.
    """
    folder = platformdirs.user_cache_path("sae-release", appauthor=False) / "templates"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return _Kept(str(folder)) if os.access(folder, os.W_OK) else None


class _Kept(FileSystemBytecodeCache):
    """Compiled templates on disk; what cannot be written there is compiled again next time."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep one template, unless the disk is full or the folder is gone."""
        with contextlib.suppress(OSError):
            super().dump_bytecode(bucket)


def _printed(value: Any) -> str:
    """What an expression of a template puts on the card: text is escaped, `Markdown` is not."""
    match value:
        case Undefined():
            return str(value)  # StrictUndefined raises here, naming what is missing
        case Markdown():
            text: str = value
        case str():
            text = markdown_text(value)
        case int() if not isinstance(value, bool):
            text = str(value)
        case _:
            raise TemplateProblem(
                f"prints a {type(value).__name__}: {value!r:.80}",
                where="cards/templates",
                expected="a text, a whole number, or a number written by cards/numbers.py",
            )
    if not text:
        raise TemplateProblem(
            "prints an empty text",
            where="cards/templates",
            expected="a value, or a condition around the place",
        )
    return text
