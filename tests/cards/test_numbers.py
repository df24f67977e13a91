from __future__ import annotations

import pytest

from cards import numbers


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (numbers.explained_variance(0.81249), "0.812"),
        (numbers.explained_variance(-28.8), "-28.800"),
        (numbers.explained_variance(-0.0004), "0.000"),
        (numbers.mean_count(1234.56), "1,234.6"),
        (numbers.fraction(0.97049), "0.970"),
        (numbers.effect_size(-0.004), "0.00"),
        (numbers.p_value(0.0009), "&lt;0.001"),
        (numbers.p_value(0.001), "0.001"),
        (numbers.difference(0.0123, numbers.fraction), "+0.012"),
        (numbers.difference(-0.0123, numbers.fraction), "-0.012"),
        (numbers.difference(0.0001, numbers.fraction), "0.000"),  # no "+0.000"
        (numbers.interval(0.47, 0.71, numbers.effect_size), "0.47-0.71"),
        (numbers.interval(-0.1, 0.2, numbers.effect_size), "-0.10 to 0.20"),  # no "-0.10-0.20"
        (numbers.interval(-0.3, -0.1, numbers.effect_size), "-0.30 to -0.10"),
        (numbers.significant(0.012345), "0.0123"),
        (numbers.significant(0.00001234), "1.23e-05"),
        (numbers.share(0.971), "97.1%"),
        (numbers.percent(50.0), "50.0%"),
        (numbers.relative_difference(1.5e-7), "1.5e-07"),
        (numbers.setting(3e-4), "0.0003"),
        (numbers.setting(100), "100"),
        (numbers.setting(0.1 + 0.2), "0.3"),
        (numbers.count(0), "0"),
        (numbers.count(1234567), "1,234,567"),
        (numbers.counted(1, "SAE"), "1 SAE"),
        (numbers.counted(12, "SAE"), "12 SAEs"),
        (numbers.counted(0, "SAE does", "SAEs do"), "0 SAEs do"),
        (numbers.duration(6.2), "6.2 s"),
        (numbers.duration(59.96), "1 min 0 s"),  # not "60.0 s"
        (numbers.duration(200), "3 min 20 s"),
        (numbers.duration(3599.7), "1 h 0 min"),  # not "60 min 0 s"
        (numbers.duration(3600 + 5 * 60), "1 h 5 min"),
    ],
)
def test_each_kind_of_number_has_one_form(written: str, expected: str) -> None:
    assert written == expected
    assert isinstance(written, numbers.Markdown)
