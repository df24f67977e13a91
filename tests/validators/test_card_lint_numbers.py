"""Numbers beside each other: what is certain fails, what may be read otherwise does not."""

from __future__ import annotations

import pytest

from validators.readme.card_text import read_card
from validators.readme.depths import lint_depths
from validators.readme.differences import lint_differences
from validators.readme.findings import Finding, Surroundings
from validators.readme.layers import lint_layers
from validators.readme.metrics_named import lint_metrics
from validators.readme.products import lint_products
from validators.readme.quantities import printed
from validators.readme.shares import lint_shares
from validators.readme.sizes import lint_sizes
from validators.readme.spread import lint_spread


def severities(found: object) -> list[str]:
    assert not isinstance(found, Finding)
    return [finding.severity for finding in found]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        # Half of the last digit's unit to each side; a whole one with a mark.
        ("67.2", "67.15", "67.25"),
        ("47", "46.5", "47.5"),
        ("~69", "68", "70"),
        ("~400", "300", "500"),
        ("1,173", "1172.5", "1173.5"),
    ],
)
def test_a_printed_number_stands_for_a_range(text: str, low: str, high: str) -> None:
    number = printed(text)
    assert (str(number.low), str(number.high)) == (low, high)


def test_words_make_a_number_approximate() -> None:
    assert printed("69", before="It has about ").is_approximate
    assert not printed("69", before="It is about a number of ").is_approximate


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6 x 3 x 3 = 54", []),
        ("6 x 3 x 3 = 57", ["fail"]),
        ("6 layers \u00d7 3 architectures \u00d7 3 conditions = 57 SAEs", ["fail"]),
        ("576 x 4 = 2,304", []),
        ("38 x 16 = 608 at most", []),
        ("2 x 2.5 = 5", []),
        ("v1.6 x 3 = 7", []),
        ("d_in=576, d_sae=2304 (4x expansion)", []),
        ("d_in=576, d_sae=2403 (4x expansion)", ["fail"]),
        ("- d_in: 1536\n- d_sae: 6144 (expansion factor 4x)", []),
        ("- d_in: 1536\n- d_sae: 6144 (expansion factor 8x)", ["fail"]),
        ("| d_in | 16 |\n|---|---|\n| d_sae | 64 |\n| expansion | 5 |", ["fail"]),
        ("Expansion factor 4x (2048 → 8192)", []),
        ("Expansion factor 4x (2048 → 8129)", ["fail"]),
        ("d_in=16, d_sae=64\n\n`W_enc` [16, 64]", []),
        ("d_in=16, d_sae=64\n\n`W_enc` [16, 46]", ["fail"]),
        # Two sizes on one card: nothing ties them to one another.
        ("d_in=16, d_sae=64 (4x expansion)\n\nd_in=16, d_sae=128", []),
        ("- 4 layers (L1, L2, L3, L4)", []),
        ("- 4 layers (L1, L2, L3)", ["warn"]),
        ("- 3 architectures: TopK (k=64), JumpReLU, Gated", []),
        ("- 3 architectures: TopK (k=64), JumpReLU", ["warn"]),
        ("- 2 architectures: one of them with thresholds, and one without any", []),
        ("- 2 conditions: mixed and deceptive_only", []),
        ("348 total SAEs, 9 models", []),
    ],
)
def test_products(text: str, expected: list[str]) -> None:
    assert severities(lint_products(read_card(text), Surroundings())) == expected


GRID = "- {} SAEs across 6 layers\n- 3 architectures: a, b, c\n- 3 training conditions: x, y, z\n"


@pytest.mark.parametrize(
    ("n", "more", "expected"),
    [
        (54, "", []),
        (57, "", ["fail"]),
        # A grid may have holes, and a further axis may make it larger.
        (50, "", ["warn"]),
        (108, "- 2 seeds each\n", ["warn"]),
    ],
)
def test_a_grid_multiplies(n: int, more: str, expected: list[str]) -> None:
    card = read_card(GRID.format(n) + more)
    assert severities(lint_products(card, Surroundings())) == expected


@pytest.mark.parametrize(("n_folders", "expected"), [(0, []), (12, []), (11, ["warn"])])
def test_the_count_is_that_of_the_folders(n_folders: int, expected: list[str]) -> None:
    card = read_card("12 sparse autoencoders of the residual stream\n")
    assert severities(lint_products(card, Surroundings(n_saes=n_folders))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # 14/30 = 46.67%; 15/18 = 83.33%; 2/57 = 3.51%; 1/3 = 33.33%.
        ("14/30 (47%)", []),
        ("14/30 (46.7%)", []),
        ("14/30 (46%)", ["warn"]),
        ("14/30 (46.8%)", ["fail"]),
        ("14 of 30 SAEs (48%)", ["fail"]),
        ("15/18 STE conditions (83%)", []),
        ("46.7% (14/30)", []),
        ("56.7% (14/30)", ["fail"]),
        ("2/57 (3%)", ["warn"]),
        ("2/57 (4%)", []),
        ("about 1/3 (30%)", []),
        ("1/3 (~30%)", []),
        ("1/3 (~20%)", ["fail"]),
        ("24/7 (100%)", []),
        ("0/0 (0%)", []),
        ("2024/05/30 (47%)", []),
        ("14/30 (47 of them)", []),
        ("96 + 85 = 181", []),
        ("96 + 85 = 191", ["fail"]),
        ("1 + 2 = 3 + 0", []),
        ("39 SAEs — 30 original + 9 STE-validated", []),
        ("39 SAEs (30 original + 8 STE-validated)", ["fail"]),
        ("mixed (n=181), deceptive_only (n=96), honest_only (n=85)", []),
        ("mixed (n=181), deceptive_only (n=96), honest_only (n=95)", ["warn"]),
    ],
)
def test_shares_and_sums(text: str, expected: list[str]) -> None:
    assert severities(lint_shares(read_card(text))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # 69.2 - 64.1 = 5.1; 77.8 - 72.4 = 5.4; 67.2 - 52.88 = 14.32, 14.265 to 14.375 unrounded.
        ("STE = 69.2% vs TopK = 64.1% (+5.1pp)", []),
        ("STE = 69.2% vs TopK = 64.1% (+5.3pp)", ["fail"]),
        ("It achieves 77.8%, beating 72.4% by +5.37pp", ["warn"]),
        ("It achieves 77.8%, beating 72.4% by +5.57pp", ["fail"]),
        ("67.2% over the baseline of 52.88%: 14.34 points", ["warn"]),
        ("67.2% over the baseline of 52.88%: 14.3 points", []),
        ("~70% against 64.1%, 5 points more", []),
        ("It gains +10.1pp.", ["note"]),
        ("It gains 10 points in a game.", []),
        # Three percentages: which two is not said.
        ("From 50% and 60% to 80%, a gain of 7 points", []),
        ("Of 50% and 60% nobody spoke. The gain is 12 points.", []),
    ],
)
def test_differences(text: str, expected: list[str]) -> None:
    assert severities(lint_differences(read_card(text))) == expected


@pytest.mark.parametrize(
    ("text", "n_layers", "expected"),
    [
        # Of 30: 5/30 = 16.7%, 4/30 = 13.3%, 4/29 = 13.8%.
        ("L4 (13% depth)", 30, []),
        ("L4 (17% depth)", 30, []),
        ("L4 (15% depth)", 30, ["warn"]),
        ("L12 (39% depth)", 32, ["note"]),
        ("L21 (95% depth)", 22, ["warn"]),
        ("L21 (100% depth)", 22, []),
        ("L22 (100% depth)", 22, ["warn"]),
        # 3/12 = 25% of blocks passed, then 6/12 = 50% of blocks before.
        ("L2 (25% depth) and L6 (50% depth)", 12, ["warn"]),
        ("It has 30 transformer layers, and L4 (15% depth).", None, ["warn"]),
        ("L4 (13% depth)", None, []),
        ("L4 (13% depth), L5 (90% depth)", None, ["warn"]),
        ("| layer | depth |\n|---|---|\n| 9 | 33.3% |\n| 18 | 63.3% |", 30, []),
        ("| layer | depth |\n|---|---|\n| 9 | 33.3% |\n| 18 | 60.0% |", 30, ["warn"]),
    ],
)
def test_depths(text: str, n_layers: int | None, expected: list[str]) -> None:
    found = lint_depths(read_card(text), Surroundings(n_layers=n_layers))
    assert severities(found) == expected


RISE = "It rises continuously from L3 (~55%) through L21 (72.4%).\n\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (RISE + "The L15 raw baseline of 65.0% is lower.", []),
        (RISE + "The L15 raw baseline of 72.4% is beaten.", ["warn"]),
        (RISE + "The L15 raw baseline of 80.1% is beaten.", ["fail"]),
        (RISE + "The L22 raw baseline of 80.1% is beaten.", []),
        ("It falls steadily from L3 (80%) to L9 (60%).\n\nL5 raw accuracy of 70%", []),
        ("It falls steadily from L3 (80%) to L9 (60%).\n\nL5 raw accuracy of 50%", ["fail"]),
        ("- Layers: L3, L6\n- Peak layer: L6", []),
        ("- Layers: L3, L6\n- Peak layer: L9", ["warn"]),
        ("- Peak layer: L9", []),
    ],
)
def test_layers(text: str, expected: list[str]) -> None:
    assert severities(lint_layers(read_card(text))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # nf4: 4 + 32/64 = 4.5 bits; double quantisation: 4 + 8/64 + 32/(64 * 256) = 4.127.
        ("nf4 takes ~3.5 bits/parameter", ["fail"]),
        ("4-bit weights of 3.9 bits per weight", ["fail"]),
        ("nf4 takes 4.5 bits per parameter", []),
        ("nf4 takes 4.1 bits per parameter", ["warn"]),
        ("nf4 with double quant takes 4.13 bits per parameter", []),
        ("nf4 with double quant takes ~4 bits per parameter", []),
        ("3-bit weights take 3.5 bits per weight", []),
        ("3.5 bits per weight, where 4-bit and 8-bit ones take more", []),
        # 5.1e9 * 2 bytes = 10.2 GB, 0.135e9 * 4 bytes = 0.54 GB.
        ("5.1B params\n\nIt needs 8 GB in fp16", ["warn"]),
        ("5.1B params\n\nIt needs 12 GB in fp16", []),
        ("5.1B params\n\nIt needs 8 GB in nf4, fp16 compute", []),
        ("5.1B params; 7B params\n\nIt needs 8 GB in fp16", []),
        ("It needs 8 GB in fp16", []),
    ],
)
def test_sizes(text: str, expected: list[str]) -> None:
    assert severities(lint_sizes(read_card(text))) == expected


TABLE = "| metric | value |\n|---|---|\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TABLE + "| balanced accuracy | 72.4% |\n| SAE accuracy | 77.8% |", ["warn"]),
        (TABLE + "| balanced accuracy | 72.4% |\n| SAE balanced accuracy | 77.8% |", []),
        (TABLE + "| balanced accuracy | 72.4% |\n| SAE accuracy | higher |", []),
        ("Balanced accuracy is the mean over classes.\n\nIts accuracy is 70%, he said.", []),
        ("A paired test gives p < 0.001.", ["note"]),
        ("A paired test gives p < 0.001 (n = 54).", []),
        ("Significant means p < 0.05.", []),
        ("| alpha | honest_rate |\n|---|---|\n| 1.0 | 0.745 |", ["note"]),
        ("| alpha | n | honest_rate |\n|---|---|---|\n| 1.0 | 51 | 0.745 |", []),
        ("With n = 51:\n\n| alpha | honest_rate |\n|---|---|\n| 1.0 | 0.745 |", []),
        ("| SAE | learning rate |\n|---|---|\n| a | 0.0003 |", []),
    ],
)
def test_metrics(text: str, expected: list[str]) -> None:
    assert severities(lint_metrics(read_card(text))) == expected


VALUES = "- seed=1: d = 0.561\n- seed=2: d = 0.775\n- seed=3: d = 0.643\n"
EV = "d_sae: 64\n\nnum training activations: {}\n\nexplained_variance: 0.995\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The mean is 1.979/3 = 0.6597. Squares of the deviations: 0.009735 + 0.013302 + 0.000278 =
        # 0.023315; over 2, rooted: 0.1080; over 3: 0.0882.
        (VALUES + "- d mean ± std = 0.660 ± 0.108 (n=3)", []),
        (VALUES + "- d mean ± std = 0.660 ± 0.088 (n=3)", ["warn"]),
        (VALUES + "- d mean ± std = 0.660 ± 0.098 (n=3)", ["fail"]),
        (VALUES + "- d mean ± std = 0.670 ± 0.108 (n=3)", ["fail"]),
        (VALUES + "- d mean ± std = 0.670 ± 0.050 (n=40)", []),
        (VALUES + "- loss mean ± std = 0.670 ± 0.050 (n=3)", []),
        ("It is 0.7239183783531189.", ["note"]),
        ("It is 0.723918378.", ["note"]),
        ("It is 0.72391838.", []),
        (EV.format(38), ["warn"]),
        (EV.format(6400), []),
        (EV.format(38) + "\nThe held-out explained variance is 0.35.", []),
        ("d_sae: 6144\n\nalive features: 181", ["warn"]),
        ("d_sae: 6144\n\nalive features: 5181", []),
        ("- feature_id=1\n  - \"{0}\"\n- feature_id=2\n  - \"{0}\"".format("a" * 50), ["warn"]),
        ("- feature_id=1\n  - \"{0}\"\n- feature_id=1\n  - \"{0}\"".format("a" * 50), []),
    ],
)  # fmt: skip
def test_statistics(text: str, expected: list[str]) -> None:
    assert severities(lint_spread(read_card(text))) == expected
