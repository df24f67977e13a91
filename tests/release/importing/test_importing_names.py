"""Template and matrix from folder names alone, and with the help of the configs beside them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.importing.matrix import boxes, recover_matrix
from release.importing.names import Cell, NameHints, fill_in, recover_names

CONDITIONS = ("mixed", "deceptive_only", "honest_only")


def names_only(*names: str) -> dict[str, NameHints]:
    return {name: NameHints() for name in names}


def tinyllama() -> list[str]:
    plain = itertools.product((3, 6, 9, 12, 15), ("topk", "jumprelu"), CONDITIONS)
    names = [f"tinyllama_{a}_L{layer}_{c}" for layer, a, c in plain]
    ste = itertools.product((9, 12, 15), CONDITIONS)
    return names + [f"tinyllama_jumprelu_ste_L{layer}_{c}" for layer, c in ste]


def test_thirty_names_and_nine_variants_have_one_template() -> None:
    # 5 layers x 2 architectures x 3 conditions = 30, and 3 x 1 x 3 = 9 of the variant.
    recovered = recover_names(names_only(*tinyllama()))
    assert recovered.template == "tinyllama_{architecture}{variant}_L{layer}_{condition}"
    assert recovered.odd == {}
    assert len(recovered.cells) == 39
    assert recovered.cells["tinyllama_jumprelu_ste_L9_mixed"] == Cell(9, "jumprelu", "mixed", "ste")


def test_the_ragged_matrix_is_a_product_and_one_inclusion() -> None:
    matrix = recover_matrix(tuple(recover_names(names_only(*tinyllama())).cells.values()))
    assert matrix.axis(0) == (3, 6, 9, 12, 15)
    assert matrix.axis(1) == ("topk", "jumprelu")
    assert matrix.axis(2) == CONDITIONS
    assert matrix.axis(3) == ("",)
    (included,) = matrix.include
    assert [set(values) for values in included.values] == [
        {9, 12, 15},
        {"jumprelu"},
        set(CONDITIONS),
        {"ste"},
    ]
    assert matrix.exclude == ()


def test_one_missing_cell_is_one_exclusion() -> None:
    product = itertools.product((1, 2, 3), ("topk", "gated"), CONDITIONS)
    cells = [Cell(layer, a, c, "") for layer, a, c in product]  # type: ignore[arg-type]
    cells.remove(Cell(2, "gated", "mixed", ""))
    matrix = recover_matrix(cells)
    assert len(matrix.base.cells()) == 18
    assert matrix.include == ()
    assert [box.cells() for box in matrix.exclude] == [{(2, "gated", "mixed", "")}]


@given(
    st.sets(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(("topk", "jumprelu", "gated")),
            st.sampled_from(CONDITIONS),
            st.sampled_from(("", "ste", "v2")),
        ),
        min_size=1,
    )
)
def test_a_recovered_matrix_has_exactly_the_cells_it_was_made_of(points: set) -> None:
    matrix = recover_matrix([Cell(*point) for point in points])
    cells = matrix.base.cells().union(*(box.cells() for box in matrix.include))
    for box in matrix.exclude:
        cells -= box.cells()
    assert cells == points
    assert sum(len(box.cells()) for box in boxes(points)) == len(points)


@given(
    st.sets(
        st.tuples(
            st.integers(0, 40),
            st.sampled_from(("topk", "jumprelu", "gated")),
            st.sampled_from(CONDITIONS),
            st.sampled_from(("", "ste")),
        ),
        min_size=1,
    ),
    st.sampled_from(
        (
            "m_{architecture}{variant}_L{layer}_{condition}",
            "L{layer}.{condition}.{architecture}{variant}",
            "{condition}-layer{layer:02d}{variant}-{architecture}",
        )
    ),
)
def test_whatever_the_template_the_recovered_one_gives_each_name_back(
    points: set, template: str
) -> None:
    names = [fill_in(template, Cell(*point)) for point in points]
    recovered = recover_names(names_only(*names))
    for name, cell in recovered.cells.items():
        assert fill_in(recovered.template, cell) == name
    assert set(recovered.cells) | set(recovered.odd) == set(names)
    assert recovered.cells


def test_names_with_three_strangers_keep_the_template_and_name_the_strangers() -> None:
    product = itertools.product((4, 8, 12, 16, 20, 24), ("topk", "jumprelu", "gated"), CONDITIONS)
    names = [f"d32_{a}_L{layer}_{c}" for layer, a, c in product]
    strangers = ("d32_probe_baseline", "L12-topk-pilot", "test")
    recovered = recover_names(names_only(*names, *strangers))
    assert recovered.template == "d32_{architecture}_L{layer}_{condition}"
    assert len(recovered.cells) == 54  # 6 x 3 x 3
    assert set(recovered.odd) == set(strangers)


def test_layers_written_with_leading_zeros_give_a_template_with_a_width() -> None:
    recovered = recover_names(names_only("a_topk_L03_mixed", "a_topk_L12_mixed"))
    assert recovered.template == "a_{architecture}_L{layer:02d}_{condition}"
    assert {cell.layer for cell in recovered.cells.values()} == {3, 12}


def test_conditions_that_no_list_knows_are_the_part_that_varies() -> None:
    recovered = recover_names(names_only("a_topk_L3_sandbagging", "a_topk_L3_baseline"))
    assert recovered.template == "a_{architecture}_L{layer}_{condition}"
    assert {cell.condition for cell in recovered.cells.values()} == {"sandbagging", "baseline"}


def test_what_a_name_does_not_say_comes_from_its_config() -> None:
    hints = {
        "first": NameHints(layer=3, architecture="topk", condition="mixed"),
    }
    recovered = recover_names(hints)
    assert recovered.template == "first"
    assert recovered.cells == {"first": Cell(3, "topk", "mixed", "")}


def test_the_config_decides_which_number_of_a_name_is_the_layer() -> None:
    hints = {"run_L2_topk_L7_mixed": NameHints(layer=2)}
    recovered = recover_names(hints)
    assert recovered.template == "run_L{layer}_{architecture}_L7_{condition}"


@pytest.mark.parametrize(
    "name", ["a/b_topk_L3", "..", "a b", "x{layer}", "-topk", "a" * 97, "", "aé_topk_L3", "a\nb"]
)
def test_a_name_that_cannot_be_an_id_is_left_out_and_said_so(name: str) -> None:
    recovered = recover_names(names_only(name, "a_topk_L3_mixed"))
    assert list(recovered.cells) == ["a_topk_L3_mixed"]
    assert "cannot be an SAE id" in recovered.odd[name]


def test_a_name_without_layer_and_without_config_has_no_place() -> None:
    recovered = recover_names(names_only("topk_mixed"))
    assert recovered.cells == {}
    assert "names no layer" in recovered.odd["topk_mixed"]


@given(st.sets(st.text("aL03_-.{}topk", max_size=12), max_size=6))
def test_no_set_of_names_breaks_the_recovery(names: set[str]) -> None:
    recovered = recover_names(names_only(*names))
    assert set(recovered.cells) | set(recovered.odd) == names
