"""The computed tables of a report as text for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from validators.presenting.printable import name_of, one_line
from validators.presenting.tables import laid_out
from validators.presenting.wrapping import wrapped
from validators.report import Measurement, Tables

Metrics = Mapping[str, Measurement]

PROBE_HEADER = ("", "accuracy", "AUROC", "p", "- layer", "p", "d max", "chance", "d held-out")
PROBE_LEGEND = (
    "accuracy: balanced accuracy of a linear probe, mean +- standard deviation over the folds; "
    "p: of the AUROC, permuted labels. - layer: difference to the raw probe of the same layer, p "
    "with Holm's correction. d max: largest Cohen's d on training vectors, with its 95% range "
    "under permuted labels; d held-out: of that same latent on held-out vectors."
)


def tables_text(tables: Tables, *, width: int = 80) -> str:
    """The probes, effect sizes, verdicts and steering of a report, ending with a line break."""
    return "\n".join(line for block in _blocks(tables, width) for line in [*block, ""])


def labelled_completions(tables: Tables) -> str:
    """What the tables were computed from."""
    labels = ", ".join(f"{n} {one_line(label)}" for label, n in tables.labels.items())
    return f"{labels} completions of {tables.n_groups} scenarios"


def probe_rows(tables: Tables) -> list[tuple[str, ...]]:
    """The rows under PROBE_HEADER: the raw probe of each layer, then each SAE."""
    rows: list[tuple[str, ...]] = [
        (f"raw, layer {name_of(layer)}", *_probe_cells(metrics), "", "", "", "", "")
        for layer, metrics in tables.layers.items()
    ]
    return rows + [
        (
            name_of(sae_id),
            *_probe_cells(sae.metrics),
            _number(sae.metrics, "beats_layer", "{:+.3f}"),
            _p_value(sae.metrics, "beats_layer"),
            _number(sae.metrics, "d_max", "{:.2f}"),
            _range(sae.metrics, "d_max_chance"),
            _number(sae.metrics, "d_of_train_best_on_held_out", "{:.2f}"),
        )
        for sae_id, sae in tables.saes.items()
    ]


def _blocks(tables: Tables, width: int) -> Iterator[list[str]]:
    yield wrapped(labelled_completions(tables), width=width)
    yield laid_out(PROBE_HEADER, probe_rows(tables), width=width)
    yield wrapped(PROBE_LEGEND, width=width)
    verdicts = [verdict for sae in tables.saes.values() for verdict in sae.verdicts.values()]
    over = sorted({verdict.partition(":")[0].partition(" ")[2] for verdict in verdicts})
    if over:
        yield [line for question in over for line in _counted(question, verdicts, width)]
    for steering in tables.steering:
        head = f"Steering along the direction that {name_of(steering.sae_id)} decodes"
        yield [
            *wrapped(head, width=width),
            *laid_out(
                ("alpha", "rate", "95%", "n"),
                [
                    (
                        f"{point.alpha:g}",
                        _one(point.positive_rate, "{:.2f}"),
                        _ends(point.positive_rate),
                        str(point.positive_rate.n),
                    )
                    for point in steering.points
                ],
                width=width,
            ),
        ]


def _counted(question: str, verdicts: list[str], width: int) -> list[str]:
    """How many SAEs are stable in one respect; the report says by which number."""
    own = [verdict for verdict in verdicts if verdict.partition(":")[0].endswith(question)]
    n_stable = sum(verdict.startswith("stable") for verdict in own)
    return wrapped(f"{n_stable} of {len(own)} SAEs are stable {question}", width=width)


def _probe_cells(metrics: Metrics) -> tuple[str, str, str]:
    accuracy = metrics.get("probe_balanced_accuracy")
    text = _number(metrics, "probe_balanced_accuracy", "{:.3f}")
    if accuracy is not None and accuracy.spread is not None:
        text += f" +- {accuracy.spread:.3f}"
    return (
        text,
        _number(metrics, "probe_auroc", "{:.3f}"),
        _p_value(metrics, "probe_auroc"),
    )


def _number(metrics: Metrics, name: str, form: str) -> str:
    found = metrics.get(name)
    return "" if found is None else _one(found, form)


def _one(found: Measurement, form: str) -> str:
    return "none" if found.value is None else form.format(found.value)


def _p_value(metrics: Metrics, name: str) -> str:
    found = metrics.get(name)
    return "" if found is None or found.p_value is None else f"{found.p_value:.3f}"


def _range(metrics: Metrics, name: str) -> str:
    found = metrics.get(name)
    return "" if found is None else _ends(found)


def _ends(found: Measurement) -> str:
    if found.low is None or found.high is None:
        return ""
    return f"{found.low:.2f}-{found.high:.2f}"
