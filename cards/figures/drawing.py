"""From a figure to the bytes of its SVG file; the one place that needs matplotlib to be there."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING, Any

from cards.figures.figure import Figure
from cards.figures.look import FAINT, INK
from manifests.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

# Positions in points; a hundredth of one is not seen. Factors of transforms stand elsewhere.
_POSITIONS = re.compile(r'(?<= )(?:d|x|y)="[^"]*"|translate\([^)]*\)')
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")

# matplotlib types every key for itself.
_STYLE: Any = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.titlecolor": INK,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "legend.frameon": False,
    # Letters as outlines: a reader's machine needs no font, and shows what was drawn.
    "svg.fonttype": "path",
    # Names of SAEs and precisions are no formulas.
    "text.parse_math": False,
    # Without it, ids in the file are drawn by chance.
    "svg.hashsalt": "sae-release",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def drawn(figure: Figure) -> bytes:
    """The figure as an SVG file, on a white ground that dark pages show as such.

    The bytes differ between versions of matplotlib, so nothing compares them with others.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise MissingExtra(
            needed_for=f"drawing {figure.path_in_repo}", package="matplotlib", extra="plots"
        ) from error
    with matplotlib.rc_context(), warnings.catch_warnings():
        # A name in a script that the font lacks is shown as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        canvas = Canvas(layout="constrained")
        figure.draw(canvas)
        return _svg(canvas)


def drawn_with() -> str:
    """The library and its version, as the index of figures records it."""
    import matplotlib

    return f"matplotlib {matplotlib.__version__}"


def _svg(canvas: Canvas) -> bytes:
    stream = io.BytesIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    canvas.savefig(stream, format="svg", metadata=metadata)
    text = stream.getvalue().decode("utf-8").replace("\r\n", "\n")
    text = _POSITIONS.sub(lambda found: _LONG_NUMBER.sub(_rounded, found[0]), text)
    return ("\n".join(line.rstrip() for line in text.splitlines()) + "\n").encode("utf-8")


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
