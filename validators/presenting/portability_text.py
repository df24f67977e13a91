"""The section `portability` of a report as text for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from validators.presenting.printable import name_of, one_line
from validators.presenting.tables import laid_out
from validators.presenting.wrapping import wrapped
from validators.report import Measurement, Portability

_COLUMNS = (
    ("residual", "residual_error_about_mean", "{:.1%}"),
    ("EV", "explained_variance", "{:.3f}"),
    ("L0", "l0", "{:.1f}"),
    ("alive", "alive_shift", "{:+.1%}"),
    ("Jaccard", "jaccard", "{:.3f}"),
    ("r", "latent_correlation", "{:.3f}"),
    ("d max", "d_max", "{:.2f}"),
    ("probe", "probe_transferred", "{:.3f}"),
    ("CE", "ce_recovered", "{:.3f}"),
)
_LEGEND = (
    "residual: error of the activations, as a share of their variation; alive: change of the "
    "number of alive latents; Jaccard: overlap of the active latents, vector by vector; r: median "
    "correlation of a latent with itself; probe: balanced accuracy of a probe that was fitted at "
    "the SAE's own precision; CE: cross-entropy recovered. All on held-out data."
)


def portability_text(section: Portability, *, width: int = 80) -> str:
    """Precisions, numbers and verdicts, ending with a line break."""
    return "\n".join(line for block in _blocks(section, width) for line in [*block, ""])


def _blocks(section: Portability, width: int) -> Iterator[list[str]]:
    rows = [
        (
            label + (" (trained at)" if label == section.trained_at else ""),
            *(_cell(found.metrics, name, form) for _, name, form in _OF_MODEL),
        )
        for label, found in section.precisions.items()
        if found.refused is None
    ]
    yield laid_out(("", *(heading for heading, _, _ in _OF_MODEL)), rows, width=width)
    for label, found in section.precisions.items():
        if found.refused is not None:
            yield wrapped(f"{label}: not measured, {one_line(found.refused)}", width=width)
    for sae_id, shifts in section.saes.items():
        yield [
            *laid_out(
                (name_of(sae_id), *(heading for heading, _, _ in _COLUMNS)),
                [
                    (label, *(_cell(shift.metrics, name, form) for _, name, form in _COLUMNS))
                    for label, shift in shifts.items()
                    if shift.metrics
                ],
                width=width,
            ),
            *(
                line
                for label, shift in shifts.items()
                if label != section.trained_at
                for line in wrapped(
                    one_line(shift.verdict.sentence, 300),
                    width=width,
                    first=f"  {label}: ",
                    rest="    ",
                )
            ),
        ]
    yield wrapped(_LEGEND, width=width)
    others = [*(v.regime + ": " + v.sentence for v in section.elsewhere)]
    others += [one.sentence for one in section.claimed]
    for text in others:
        yield wrapped(one_line(text, 300), width=width)
    for sae_id, cells in section.retrained.items():
        yield laid_out(
            (f"{name_of(sae_id)}, trained", "tested", "EV", "L0", "Jaccard"),
            [
                (
                    cell.trained_at,
                    cell.tested_at,
                    _cell(cell.metrics, "explained_variance", "{:.3f}"),
                    _cell(cell.metrics, "l0", "{:.1f}"),
                    _cell(cell.metrics, "jaccard", "{:.3f}"),
                )
                for cell in cells
            ],
            width=width,
        )


_OF_MODEL = (
    ("bits each", "bits_per_parameter", "{:.3f}"),
    ("quantised", "bits_per_quantised_parameter", "{:.3f}"),
    ("bytes", "weights_bytes", "{:,.0f}"),
    ("largest", "largest_activation", "{:.1f}"),
    ("of fp16", "share_of_fp16_range", "{:.2%}"),
)


def _cell(metrics: Mapping[str, Measurement], name: str, form: str) -> str:
    found = metrics.get(name)
    return "-" if found is None or found.value is None else form.format(found.value)
