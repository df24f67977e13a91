"""Claims: conditions over metrics, evaluated in a sandbox.

An expression is one of Jinja's (https://jinja.palletsprojects.com/templates/#expressions) over

- metrics: `explained_variance`, `l0`, … each the column of one number per SAE; a dotted metric is
  written with its dots (`probe.balanced_accuracy`);
- groups of SAEs in front of a metric: an architecture, a condition, a variant or a layer
  (`topk.l0`, `mixed.explained_variance`, `L9.dead_fraction`);
- reported facts by name: `reported['peak balanced accuracy']`;
- the functions `best` (largest), `worst` (smallest), `mean`, `count`, `abs` and `round`.

Only numbers are multiplied and raised, and only within bounds, so that no expression can take
memory or time; attributes of Python objects cannot be reached.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.parser import Parser
from jinja2.sandbox import SandboxedEnvironment

from manifests.errors import ReleaseError

MAX_LENGTH = 500
_LARGEST = 1e15

Namespace = Mapping[str, Any]


class ClaimProblem(ReleaseError):
    """An expression that cannot be evaluated: it names something unknown or not measured."""


class NotMeasured(Exception):
    """Raised inside a namespace for a metric without a value; carries the reason."""


class _NumbersOnly(SandboxedEnvironment):
    """A sandbox in which operators that could build huge values take bounded numbers only."""

    intercepted_binops = frozenset({"*", "**", "//", "/", "%", "+", "-"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        for operand in (left, right):
            if isinstance(operand, bool) or not isinstance(operand, int | float):
                raise ClaimProblem(
                    f"{operator} was applied to {type(operand).__name__}, not number"
                )
            if abs(operand) > _LARGEST:
                raise ClaimProblem(f"{operator} was applied to a number beyond {_LARGEST:g}")
        if operator == "**" and (abs(right) > 10 or abs(left) > 1e6):
            raise ClaimProblem("a power is too large")
        return super().call_binop(context, operator, left, right)


def _column(values: Any) -> list[float]:
    if isinstance(values, int | float):
        values = [values]
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise ClaimProblem(
            "best, worst and mean need a metric with at least one value",
            expected="a metric of at least one SAE, such as topk.l0",
        )
    return [float(value) for value in values]


FUNCTIONS: Namespace = {
    "best": lambda values: max(_column(values)),
    "worst": lambda values: min(_column(values)),
    "mean": lambda values: statistics.fmean(_column(values)),
    "count": lambda values: len(_column(values)),
    "abs": abs,
    "round": round,
}


def _environment() -> _NumbersOnly:
    environment = _NumbersOnly(undefined=StrictUndefined)
    environment.globals = dict(FUNCTIONS)
    environment.filters = {}
    environment.tests = {}
    return environment


def names_used(expression: str) -> frozenset[tuple[str, ...]]:
    """The names that a condition looks up, each with the keys it goes on with.

    `best(topk.l0) > reported['peak']` uses `("topk", "l0")` and `("reported", "peak")`; functions
    are left out. A key that is computed ends its name: `reported[x]` uses `("reported",)` and
    `("x",)`.

    Raises:
        ClaimProblem: the expression is no expression.
    """
    _refuse_a_long_one(expression)
    try:
        parser = Parser(_environment(), expression, state="variable")
        tree = parser.parse_expression()
        if not parser.stream.eos:
            raise ClaimProblem(f"{expression!r} goes on after its end")
    except (TemplateSyntaxError, RecursionError) as error:
        too_deep = isinstance(error, RecursionError)
        reason = "it is nested too deeply" if too_deep else str(error).partition("\n")[0]
        raise ClaimProblem(
            f"{expression!r} cannot be read: {reason}",
            expected="a condition such as worst(explained_variance) > 0",
        ) from error
    return frozenset(_names_in(tree)) - {(function,) for function in FUNCTIONS}


def _names_in(node: nodes.Node) -> Iterator[tuple[str, ...]]:
    name = _dotted_name(node)
    if name is not None:
        yield name
        return
    for child in node.iter_child_nodes():
        yield from _names_in(child)


def _dotted_name(node: nodes.Node) -> tuple[str, ...] | None:
    """`a`, `a.b` or `a['b']` as its parts; None for any other node."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        key = node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        key = node.arg.value
    else:
        return None
    before = _dotted_name(node.node)
    return (*before, key) if before is not None and isinstance(key, str) else None


def _refuse_a_long_one(expression: str) -> None:
    if len(expression) > MAX_LENGTH:
        raise ClaimProblem(f"the expression has {len(expression)} characters, at most {MAX_LENGTH}")


def claim_holds(expression: str, namespace: Namespace) -> bool:
    """Whether the condition holds for the metrics in `namespace`.

    Raises:
        ClaimProblem: the expression is no expression, names something that the namespace lacks,
            rests on a value that was not measured, or is no condition (a number, a text).
    """
    _refuse_a_long_one(expression)
    try:
        compiled = _environment().compile_expression(expression, undefined_to_none=False)
        result = compiled(**namespace)
        is_undefined = isinstance(result, StrictUndefined)
    except NotMeasured as error:
        raise ClaimProblem(f"{expression!r} rests on a value that is not there: {error}") from error
    except ClaimProblem as error:
        raise ClaimProblem(
            f"{expression!r} cannot be evaluated: {error.what}", expected=error.expected
        ) from error
    except Exception as error:
        raise ClaimProblem(
            f"{expression!r} cannot be evaluated: {error}",
            expected="a condition such as worst(explained_variance) > 0",
        ) from error
    if is_undefined or not isinstance(result, bool):
        shown = "something unknown" if is_undefined else f"{result!r:.60}"
        raise ClaimProblem(
            f"{expression!r} gives {shown}",
            expected="a condition, which is true or false",
        )
    return result
