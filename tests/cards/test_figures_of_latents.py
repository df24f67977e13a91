"""The figures of how often latents fire and of their thresholds: their numbers, words and looks."""

from __future__ import annotations

import itertools
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from typing import Any

import pytest
from made_distributions import make_distributions, replace_distributions, with_distributions

from cards.figures.drawing import _STYLE, drawn
from cards.figures.figure import Figure, figure_of
from cards.figures.firing_density import FiringDensityData, firing_density
from cards.figures.kinds import figures_of
from cards.figures.spreads import Spread
from cards.figures.thresholds import Thresholds, thresholds
from cards.stage import rendered_files
from validators.distributions import Bins, Distributions

TOPK, JUMPRELU = "tiny_topk_L1_mixed", "tiny_jumprelu_L1_mixed"
HOSTILE = "$\\frac{1}$ <script>\x00\u202e&\ufffe]]>--> " + "long" * 30
A_SPREAD = Spread("TopK", "mixed", 1, 20, (0.01, 0.1, 1.0), (3, 4), 2, 1)


@pytest.fixture
def release(release: Any) -> Any:
    return with_distributions(release)


def figure(release: Any, name: str) -> Figure | None:
    return figures_of(release.sources)[name]


def with_changed(release: Any, sae_id: str, part: str, **changes: Any) -> Any:
    """The release in which a part of one SAE's distributions differs; None: it has none."""
    by_sae = dict(release.sources.measurements.distributions)
    content = by_sae[sae_id].model_dump()
    content[part] = {**content[part], **changes} if changes else None
    by_sae[sae_id] = Distributions.model_validate(content)
    return replace_distributions(release, by_sae)


def bins(**changes: Any) -> dict[str, Any]:
    spec_bins = {"edges": (0.2, 0.25, 0.5, 1.0), "counts": (6, 12, 6), "below": 0, "above": 0}
    return Bins.model_validate({**spec_bins, **changes}).model_dump()


def test_the_firing_densities_are_those_of_the_report(release) -> None:
    data = firing_density(release.sources)
    assert data is not None
    assert len(data.spreads) == 12
    first = data.spreads[0]
    assert (first.kind, first.condition, first.layer, first.n) == ("Gated", "deceptive_only", 1, 10)
    assert (first.counts, first.below, first.n_latents) == ((4, 8, 12), 8, 32)
    assert first.percent(first.below) == 25.0
    kinds = list(dict.fromkeys((spread.kind, spread.condition) for spread in data.spreads))
    assert kinds == list(
        itertools.product(("Gated", "JumpReLU", "TopK"), ("deceptive_only", "mixed"))
    )


def test_the_words_of_the_firing_density_have_its_numbers(release) -> None:
    shares = {"edges": (0.0464159, 0.1, 0.464159, 1.0), "counts": (4, 4, 8), "above": 0}
    changed = with_changed(release, TOPK, "firing_density", shares={**shares, "below": 16})
    data = firing_density(changed.sources)
    assert data is not None
    # 8 of 32 never fire and 20 of 32 do on a tenth or more; in the changed SAE 16 and 12 of 32.
    assert data.alt == (
        "How often latents fire: latents by the share of held-out vectors on which they are "
        "active, by SAE (12). "
        "Gated: 25.0% of the latents never fire, 62.5% fire on 10% of the vectors or more; "
        "JumpReLU: 25.0% of the latents never fire, 62.5% fire on 10% of the vectors or more; "
        "TopK: 25.0% to 50.0% of the latents never fire, "
        "37.5% to 62.5% fire on 10% of the vectors or more"
    )
    readme = rendered_files(changed.sources)["README.md"].decode("utf-8")
    assert "TopK: 25.0% to 50.0% of the latents never fire" in readme


def test_nothing_is_said_of_a_tenth_of_too_few_vectors() -> None:
    few = replace(A_SPREAD, edges=(0.464159, 1.0), counts=(7,))
    assert "10%" not in FiringDensityData((few, A_SPREAD)).alt
    assert "never fire, 50.0% fire on 10%" in FiringDensityData((A_SPREAD,)).alt


def test_an_sae_of_which_nothing_was_counted_is_left_out(release) -> None:
    data = firing_density(with_changed(release, TOPK, "firing_density").sources)
    assert data is not None and len(data.spreads) == 11
    dead = {"edges": (0.1, 1.0), "counts": (0,), "below": 32, "above": 0}
    for spec in release.loaded.saes:
        release = with_changed(release, spec.sae_id, "firing_density", shares=dead)
    assert firing_density(release.sources) is None


def test_a_report_without_distributions_has_neither_figure(release) -> None:
    without = replace_distributions(release, {})
    assert figure(without, "firing_density") is None
    assert figure(without, "thresholds") is None
    assert figure(without, "sparsity") is not None
    readme = rendered_files(without.sources)["README.md"]
    assert b"figures/sparsity.svg" in readme and b"figures/thresholds.svg" not in readme


def test_thresholds_are_shown_in_multiples_of_their_start(release) -> None:
    data = thresholds(release.sources)
    assert data is not None
    assert [spread.kind for spread in data.spreads] == ["JumpReLU"] * 4
    # 0.2, 0.25, 0.5 and 1.0 over 0.25.
    assert data.spreads[0].edges == (0.8, 1.0, 2.0, 4.0)
    assert (data.is_ratio, data.are_alive, data.n_left_out, data.n_at_zero) == (True, True, 32, 0)
    # Of 24, the 12th is the 6th of the 12 between 1 and 2, whose middle by ratio is sqrt(2).
    assert data.spreads[0].median == pytest.approx(2**0.5)
    assert data.alt == (
        "Thresholds after training, by JumpReLU SAE (4). The median over the latents that were "
        "active in it is 1.41 times what every threshold was before; 62.5% moved by more than 10%; "
        "32 latents that were not active are left out"
    )


def test_without_a_recorded_start_thresholds_are_shown_as_they_are(release) -> None:
    changed = with_changed(release, JUMPRELU, "thresholds", before=None, latents="all")
    data = thresholds(changed.sources)
    assert data is not None
    assert (data.is_ratio, data.are_alive) == (False, False)
    assert {spread.edges for spread in data.spreads} == {(0.2, 0.25, 0.5, 1.0)}
    assert "what they were before training is not recorded of all" in data.alt
    assert "times" not in data.alt
    said = labels(data)
    assert said["x"].startswith("threshold after training, in units of the activations")
    assert said["ticks"] == ["0.2", "0.28", "0.4", "0.55", "0.75", "1"]


def test_thresholds_that_are_all_zero_are_counted_and_said_to_be(release) -> None:
    at_zero = bins(edges=(0.9, 1.1), counts=(0,), below=24)
    changed = with_changed(
        release, JUMPRELU, "thresholds", before=None, after=at_zero, n_not_above_zero=24
    )
    data = thresholds(changed.sources)
    assert data is not None
    assert (len(data.spreads), data.n_at_zero, data.is_ratio) == (3, 1, True)
    note = "not shown: 1 whose thresholds are all 0, never trained, so ReLU"
    assert data.alt.endswith(note)
    assert labels(data)["x"].endswith(f"\n{note}")
    for spec in release.loaded.saes:
        if spec.architecture == "jumprelu":
            changed = with_changed(
                changed, spec.sae_id, "thresholds", before=None, after=at_zero, n_not_above_zero=24
            )
    assert thresholds(changed.sources) is None


def test_thresholds_that_never_moved_are_a_bar_at_their_start(release) -> None:
    unmoved = bins(edges=(0.2429, 0.2573), counts=(24,))
    for spec in release.loaded.saes:
        if spec.architecture == "jumprelu":
            release = with_changed(release, spec.sae_id, "thresholds", after=unmoved)
            release = release.with_metric(spec.sae_id, "threshold_moved_fraction", value=0.0)
    data = thresholds(release.sources)
    assert data is not None
    assert "is 1 times what every threshold was before; 0.0% moved by more than 10%" in data.alt
    low, high = labels(data)["ends"]
    assert low < 1 < high


def test_thresholds_beyond_the_bins_are_dots_or_counted_in_words(release) -> None:
    after = bins(counts=(6, 6, 6), below=3, above=3)
    data = thresholds(with_changed(release, JUMPRELU, "thresholds", after=after).sources)
    assert data is not None
    said = labels(data)
    assert said["ticks"][0] == "near 0"
    assert data.alt.endswith("; 3 latents lie beyond the axis")
    assert said["x"].endswith("\n3 latents lie beyond the axis")


def test_a_start_far_from_all_thresholds_is_on_the_axis_too() -> None:
    far = replace(A_SPREAD, edges=(5.0, 6.0, 8.0), below=0)
    data = Thresholds((far,), True, True, 0, 0, (1.0,), 0.1)
    low, high = labels(data)["ends"]
    assert low < 1 and high == 8.0


def labels(data: Any) -> dict[str, Any]:
    """What a drawing says: its common labels, titles, ticks and the ends of its axis."""
    canvas = canvas_of(data)
    shown = [axes for axes in canvas.axes if axes.get_visible()]
    return {
        "x": canvas.get_supxlabel(),
        "titles": [axes.get_title() for axes in shown],
        "ticks": [text.get_text() for text in shown[-1].get_xticklabels()],
        "ends": shown[0].get_xlim(),
        "legend": [text.get_text() for text in canvas.legends[0].get_texts()],
    }


def canvas_of(data: Any) -> Any:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    with matplotlib.rc_context(_STYLE):
        canvas = Canvas(layout="constrained")
        FigureCanvasAgg(canvas)
        data.draw(canvas)
        canvas.canvas.draw()
    return canvas


def test_latents_that_never_fire_have_dots_beside_the_axis_one_for_each_layer(release) -> None:
    data = firing_density(release.sources)
    assert data is not None
    said = labels(data)
    assert said["ticks"][0] == "never" and said["ticks"][-1] == "100%"
    assert said["titles"][0] == "Gated\ndeceptive_only, n = 10"
    assert said["legend"] == ["layer 1", "layer 2"]
    panel = canvas_of(data).axes[0]
    dots = [line.get_xydata()[0] for line in panel.lines if line.get_marker() == "o"]
    assert [float(y) for _, y in dots] == [25.0, 25.0]
    assert said["ends"][0] < dots[0][0] < dots[1][0] < data.spreads[0].edges[0]


def spreads(n_layers: int, kinds: tuple[str, ...], conditions: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(
        replace(A_SPREAD, kind=kind, condition=condition, layer=layer, n=12_345)
        for kind in kinds
        for condition in conditions
        for layer in range(n_layers)
    )


@pytest.mark.parametrize(
    ("n_layers", "kinds", "conditions"),
    [
        (1, ("TopK",), ("mixed",)),
        (1, ("Gated", "JumpReLU", "TopK"), ("mixed",)),
        (7, ("Gated", "JumpReLU", "TopK"), ("deceptive_only", "honest_only", "mixed")),
        (3, ("JumpReLU ste", "TopK k16", "TopK k32", "TopK k64"), ("every condition at once",)),
        (40, ("Matryoshka BatchTopK of a variant",), (HOSTILE, "b" * 90)),
    ],
)
@pytest.mark.parametrize("kind", ["firing_density", "thresholds"])
def test_no_words_of_a_figure_lie_over_others(
    kind: str, n_layers: int, kinds: tuple[str, ...], conditions: tuple[str, ...]
) -> None:
    own = spreads(n_layers, kinds, conditions)
    data = FiringDensityData(own) if kind == "firing_density" else at_zero_too(own)
    canvas = canvas_of(data)
    renderer = canvas.canvas.get_renderer()
    shown = [axes for axes in canvas.axes if axes.get_visible()]
    texts = [axes.title for axes in shown] + canvas.texts
    texts += [
        tick.label1
        for axes in shown
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if tick.label1.get_visible()
    ]
    boxes = {text: text.get_window_extent(renderer) for text in texts if text.get_text()}
    boxes |= {legend: legend.get_window_extent(renderer) for legend in canvas.legends}
    assert len(boxes) > len(shown)
    over = [
        (str(one), str(other))
        for one, other in itertools.combinations(boxes, 2)
        if boxes[one].overlaps(boxes[other])
    ]
    assert over == []


def at_zero_too(own: tuple[Any, ...]) -> Thresholds:
    return Thresholds(own, True, True, 10, 3, (0.5,), 0.1)


def test_names_of_strangers_are_drawn_as_text() -> None:
    own = (replace(A_SPREAD, kind=HOSTILE, condition=HOSTILE),)
    for name, data in (
        ("firing_density", FiringDensityData(own)),
        ("thresholds", at_zero_too(own)),
    ):
        content = drawn(figure_of(name, 1, data))
        assert b"<script" not in content
        ElementTree.fromstring(content)
        title = labels(data)["titles"][0]
        assert title.startswith("$\\frac{1}$ <script>\ufffd\ufffd&") and "\u2026\n" in title


def test_a_digest_follows_the_counts_and_the_edges(release) -> None:
    def digests(release: Any) -> dict[str, str]:
        return {name: f.digest for name, f in figures_of(release.sources).items() if f is not None}

    def changed_by(part: str, **changes: Any) -> set[str]:
        after = digests(with_changed(release, JUMPRELU, part, **changes))
        return {name for name in before if after[name] != before[name]}

    before = digests(release)
    assert set(before) == {"sparsity", "firing_density", "thresholds"}
    shares = make_distributions(release.loaded.saes[0]).firing_density.shares.model_dump()
    assert changed_by("firing_density", shares=shares) == set()
    assert changed_by("firing_density", shares={**shares, "below": 9}) == {"firing_density"}
    assert changed_by("firing_density", n=21) == {"firing_density"}
    assert changed_by("thresholds", after=bins(counts=(6, 11, 7))) == {"thresholds"}
    assert changed_by("thresholds", after=bins(edges=(0.2, 0.25, 0.5, 1.01))) == {"thresholds"}
    assert changed_by("thresholds", before=0.26) == {"thresholds"}
    assert changed_by("thresholds", after=bins()) == set()


def test_positions_are_written_short_and_factors_are_not(release) -> None:
    found = figure(release, "firing_density")
    assert found is not None
    text = drawn(found).decode("utf-8")
    positions = re.findall(r' (?:d|x|y)="([^"]*)"', text) + re.findall(r"translate(\S+ \S+)", text)
    assert len(positions) > 100
    assert [each for each in positions if re.search(r"\.\d{3}", each)] == []
    assert "scale(0.08 -0.08)" in text


def test_figures_of_60_saes_stay_small(manifest_data, make) -> None:
    manifest_data["base_model"]["n_layers"] = 32
    manifest_data["saes"]["layers"] = list(range(4, 14))
    full = make(manifest_data).with_tables().with_portability()
    by_sae = {}
    for spec in full.loaded.saes:
        own = make_distributions(spec).model_dump()
        n_bins = 16
        edges = tuple(round(10 ** (i / 3 - n_bins / 3), 9) for i in range(n_bins + 1))
        counts = tuple(100 * spec.layer + 7 * i**2 % 91 for i in range(n_bins))
        own["firing_density"]["shares"] |= {"edges": edges, "counts": counts}
        if own["thresholds"]:
            own["thresholds"]["after"] |= {"edges": edges, "counts": counts}
        by_sae[spec.sae_id] = Distributions.model_validate(own)
    full = replace_distributions(full, by_sae)
    found = {name: drawn(f) for name, f in figures_of(full.sources).items() if f is not None}
    assert len(full.loaded.saes) == 60 and len(found) == 5
    assert len(found["firing_density"]) < 200_000
    assert sum(map(len, found.values())) < 600_000
    # What the report keeps of an SAE is shorter than its other numbers.
    assert len(json.dumps(by_sae[spec.sae_id].model_dump())) < 2000
