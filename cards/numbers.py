"""How a card writes numbers: one convention for each kind of quantity, the same in every locale."""

from __future__ import annotations

from collections.abc import Callable

from cards.escaping import Markdown


def explained_variance(value: float) -> Markdown:
    """Three decimals."""
    return _signed(f"{value:.3f}")


def mean_count(value: float) -> Markdown:
    """A mean number of things, such as L0: one decimal."""
    return _signed(f"{value:,.1f}")


def fraction(value: float) -> Markdown:
    """A share of 1 that is judged by its third decimal: accuracy, AUROC, loss recovered, cosine."""
    return _signed(f"{value:.3f}")


def effect_size(value: float) -> Markdown:
    """A difference in standard deviations, such as Cohen's d: two decimals."""
    return _signed(f"{value:.2f}")


def p_value(value: float) -> Markdown:
    """Three decimals; below a thousandth only that it is below."""
    return Markdown("&lt;0.001") if value < 0.001 else Markdown(f"{value:.3f}")


def difference(value: float, written: Callable[[float], Markdown]) -> Markdown:
    """A difference in the form of what is compared, with its sign unless it rounds to 0."""
    text = written(value)
    return Markdown(f"+{text}") if value > 0 and text != written(0.0) else text


def interval(low: float, high: float, written: Callable[[float], Markdown]) -> Markdown:
    """Two ends: `0.47-0.71`, and `-0.10 to 0.20` where a hyphen would stand beside a sign."""
    first, last = written(low), written(high)
    return Markdown(f"{first} to {last}" if set("+-") & set(first + last) else f"{first}-{last}")


def significant(value: float) -> Markdown:
    """Three significant digits, for a quantity without a natural scale such as the MSE.

    Closing zeros are digits too: `1.00`, but `0` for a zero, whose digits mean nothing.
    """
    text = f"{value:.3g}" if value == 0 else f"{value:#.3g}"
    return _signed(text.removesuffix("."))


def share(value: float) -> Markdown:
    """A share of 1 as a percentage with one decimal."""
    return percent(100.0 * value)


def percent(value: float) -> Markdown:
    """A percentage with one decimal."""
    return Markdown(_signed(f"{value:.1f}") + "%")


def relative_difference(value: float) -> Markdown:
    """Two significant digits with an exponent of ten."""
    return Markdown(f"{value:.1e}")


def setting(value: float) -> Markdown:
    """A number that somebody chose, such as a learning rate: as written, at most six digits."""
    return _signed(f"{value:.6g}")


def count(value: int) -> Markdown:
    """A whole number with commas between the thousands."""
    return Markdown(f"{value:,}")


def counted(value: int, singular: str, plural: str | None = None) -> Markdown:
    """A whole number with its noun: `1 SAE`, `12 SAEs`."""
    return Markdown(f"{value:,} {singular if value == 1 else plural or singular + 's'}")


def duration(seconds: float) -> Markdown:
    """A time: below a minute with one decimal, then in minutes and seconds, hours and minutes."""
    if seconds < 59.95:
        return Markdown(f"{seconds:.1f} s")
    whole = round(seconds)
    if whole < 3600:
        return Markdown(f"{whole // 60} min {whole % 60} s")
    minutes = round(seconds / 60)
    return Markdown(f"{minutes // 60} h {minutes % 60} min")


def _signed(text: str) -> Markdown:
    """Drop the sign of a zero: a value that rounds to `-0.000` is printed as `0.000`."""
    is_zero = not text.strip("-0.,")
    return Markdown(text.removeprefix("-") if is_zero else text)
