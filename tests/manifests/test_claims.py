from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.claims import ClaimProblem, claim_holds, names_used

METRICS = {
    "explained_variance": [0.5, 0.7, 0.9],
    "probe": {"balanced_accuracy": [0.6, 0.8]},
    "topk": {"l0": [64.0, 64.0]},
    "raw": {"peak": 0.724},
    "reported": {"peak balanced accuracy": 72.4},
}


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("best(probe.balanced_accuracy) > raw.peak", True),
        ("worst(explained_variance) > 0.5", False),
        ("mean(explained_variance) > 0.69 and mean(explained_variance) < 0.71", True),
        ("worst(topk.l0) == 64 and best(topk.l0) == 64", True),
        ("count(explained_variance) == 3", True),
        ("reported['peak balanced accuracy'] - 100 * raw.peak < 0.1", True),
        ("not (abs(0 - 2) < 1)", True),
    ],
)
def test_a_condition_is_true_or_false(expression: str, holds: bool) -> None:
    assert claim_holds(expression, METRICS) is holds


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("best(probe.accuracy) > 0", "accuracy"),
        ("nothing > 0", "nothing"),
        ("best(explained_variance)", "gives 0.9"),
        ("best([]) > 0", "at least one value"),
        ("1 / 0 > 1", "division"),
        ("best(explained_variance) >", "cannot be evaluated"),
        ("'a' * 1000000000 == 'a'", "not number"),
        ("9 ** 9 ** 9 > 1", "too large"),
        ("[0] * 1000000000 == [0]", "not number"),
        ("probe.__class__.__mro__ == 1", "__class__"),
        ("().__class__.__bases__[0].__subclasses__() == 1", "unsafe"),
        ("best.__globals__ == 1", "unsafe"),
        ("x" * 600, "600 characters"),
        ("cycler.__init__ == 1", "cannot be evaluated"),
    ],
)
def test_what_cannot_be_decided_is_refused(expression: str, message: str) -> None:
    with pytest.raises(ClaimProblem, match=message.replace("(", r"\(")):
        claim_holds(expression, METRICS)


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("best(topk.l0) > reported['raw peak']", {("topk", "l0"), ("reported", "raw peak")}),
        ("l0 == 'reported.x'", {("l0",)}),
        ("not (abs(mse) < 1) or mse == round(l0)", {("mse",), ("l0",)}),
        ("topk['l' ~ x]", {("topk",), ("x",)}),
        ("l0[0] > best(a.b.c)", {("l0",), ("a", "b", "c")}),
        ("1 < 2", set()),
        ("[l0, {'a': mse}] == (x if y else z)", {(n,) for n in ("l0", "mse", "x", "y", "z")}),
    ],
)
def test_the_names_of_a_condition_come_from_its_syntax(
    expression: str, names: set[tuple[str, ...]]
) -> None:
    assert names_used(expression) == names


@pytest.mark.parametrize("expression", ["best(l0) >", "a b", "x" * 600, "(" * 400, "{% if %}", ""])
def test_no_names_are_read_from_what_is_no_expression(expression: str) -> None:
    with pytest.raises(ClaimProblem):
        names_used(expression)


@settings(max_examples=200)
@given(st.text(alphabet="abest()[]'.>*0123456789 _|{}%-,:~", max_size=40))
def test_any_text_is_decided_or_refused(expression: str) -> None:
    try:
        result = claim_holds(expression, METRICS)
    except ClaimProblem as problem:
        assert problem.what
    else:
        assert isinstance(result, bool)
