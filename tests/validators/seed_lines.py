"""What is wrong and what is right on four published cards, line by line, and what finds it.

Run as a program it writes docs/seed-cards.md; `test_card_lint_seeds.py` holds both to the checks.
The cards are their authors' and are not kept here: SAE_RELEASE_SEED_CARDS names a folder with their
text, `NAME.card.txt` each, without front matter and code fences; lines are counted there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

CARDS = ("tinyllama-1-1b", "smollm2-135m", "nanochat-d32", "gemma4-e2b-gf1")
FOLDER = Path(os.environ.get("SAE_RELEASE_SEED_CARDS") or "seed-cards-not-at-hand")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "seed-cards.md"


@dataclass(frozen=True)
class Wrong:
    """One contradiction or false statement.

    Attributes:
        card: which one.
        lines: where it stands.
        what: what is wrong.
        found: code and line of each finding that is about it; empty: nothing mechanical is.
        reason: why not.
        by_manifest: the check needs the manifest: the card alone does not hold the other side.
    """

    card: str
    lines: str
    what: str
    found: tuple[tuple[str, int], ...] = ()
    reason: str = ""
    by_manifest: bool = False


T, S, N, G = CARDS


def at(code: str, *lines: int) -> tuple[tuple[str, int], ...]:
    return tuple((code, line) for line in lines)


WRONG = (
    Wrong(T, "37", "72.4% as the raw number of L15, which is the peak's, L21", at("R010", 37)),
    Wrong(T, "37", "+5.37 points from 77.8% and 72.4%, which cannot give the last digit",
          at("R007", 37)),
    Wrong(T, "37", '"substantially outperforms" and "nearly matches" of one comparison',
          reason="Two judgements in words; the numbers beside them agree with the first."),
    Wrong(T, "10, 27", "The peak is at L21, and the SAEs end at L15", at("R010", 27)),
    Wrong(T, "28, 30", "Accuracy of SAEs beside balanced accuracy of raw activations",
          at("R016", 30)),
    Wrong(T, "39", "+10.1 points over an unnamed number", at("R007", 39)),
    Wrong(T, "50, 84, 127, 169", "hook_name in two forms, one of which exists nowhere",
          at("R008", 50, 84, 127, 169)),
    Wrong(T, "68", "Thresholds of all SAEs, where half of them are TopK", at("R012", 68)),
    Wrong(T, "27", "The last of 22 layers at 95% depth", at("R009", 27)),
    Wrong(T, "72", "The final step of the planned training called not converged",
          reason="Only the base model's own card says which step is the last."),
    Wrong(T, "18, 184", "Another title and one author of four",
          at("R021", 18, 184, 185), by_manifest=True),
    Wrong(T, "70", "A Gaussian kernel, with a source that has a rectangle kernel",
          at("R020", 70)),
    Wrong(T, "105, 173-175", "Versions of SAELens without the architectures",
          at("R013", 105, 173, 174, 175)),
    Wrong(T, "169", "SAELens is said not to work with module paths", at("R020", 169)),
    Wrong(T, "13", "Neuronpedia-compatible, without an entry there", at("R020", 13)),
    Wrong(T, "177", "SAEs with other thresholds and sparsity are said to run identically",
          reason="A sentence without a number; running both shows it (L0, W103)."),
    Wrong(T, "106-107", "SAE.from_dict loses the hook's name",
          reason="Depends on the configs, which the page has not; R004 asks them of a repository."),
    Wrong(T, "110, 153", "Option B defines no sae, which the next step calls",
          reason="Read in order the code does define it; that the options exclude each other is "
          "said in a comment."),
    Wrong(T, "148", "Last tokens, where it is not said how training vectors were pooled",
          reason="A statement that is missing can have any wording; a manifest has "
          "`data.pooling`."),
    Wrong(S, "65", "Thresholds of all SAEs, TopK among them", at("R012", 65)),
    Wrong(S, "49, 81, 114, 123", "hook_name in two forms, one of which exists nowhere",
          at("R008", 49, 81, 123)),
    Wrong(S, "93, 110", "A threshold among the tensors of a TopK SAE", at("R012", 110)),
    Wrong(S, "34", "+14.34 points from 67.2% and 52.88%, which are 14.32 apart", at("R007", 34)),
    Wrong(S, "34", "Neither percentage is one of 181 samples",
          reason="No line says that these are shares of the 181."),
    Wrong(S, "27, 29, 30", "SAEs help, while the best stays below the raw peak", at("R019", 30)),
    Wrong(S, "55", "400-600 seconds for work of 7 to 14 seconds",
          reason="Only running it shows that."),
    Wrong(S, "23", "135M and 160M both the smallest", at("R019", 23)),
    Wrong(S, "17, 36", "A single prompt and several scenarios", at("R019", 17)),
    Wrong(S, "17, 178", "Another title and one author of four",
          at("R021", 17, 178, 179), by_manifest=True),
    Wrong(N, "2, 5", "57 SAEs of 6 layers, 3 architectures and 3 conditions", at("R005", 5)),
    Wrong(N, "21", "2/57 printed as 3%, and other shares rounded", at("R006", 21)),
    Wrong(N, "2, 27, 84", "GPT-NeoX and GPT-2 in turn", at("R017", 84)),
    Wrong(N, "2, 27, 84", "Both are wrong: transformers has it as nanochat",
          at("R017", 2, 27, 84), by_manifest=True),
    Wrong(N, "31, 90, 120", "hook_name in two forms", at("R008", 31, 90)),
    Wrong(N, "84, 90, 121", "A module path that the model's class does not have",
          at("R008", 84, 90, 121), by_manifest=True),
    Wrong(N, "45", "Thresholds of all SAEs, TopK and Gated among them", at("R012", 45)),
    Wrong(N, "67, 79", "A threshold among the tensors of a TopK SAE", at("R012", 80)),
    Wrong(N, "57-60", "The encoder leaves b_dec out", at("R012", 59)),
    Wrong(N, "58-109", "Code that has lost its indentation", at("R018", 59, 71, 97, 103, 109)),
    Wrong(N, "17, 22", "L12 of 32 at 39%: steps between layers, not layers",
          at("R009", 17, 22), by_manifest=True),
    Wrong(N, "11", "A single prompt, where a later version of the card names nine",
          reason="The other side stands on another card."),
    Wrong(N, "21, 23", "SAEs hurt without exception, and two of them beat the baseline",
          at("R019", 21, 23)),
    Wrong(N, "22", "A decline toward the final layer, and layers that end at L24 of 32",
          reason="Raw activations may have been probed at layers that have no SAE."),
    Wrong(N, "11, 131", "Another title and one author of four",
          at("R021", 11, 131, 132), by_manifest=True),
    Wrong(G, "55", "About 3.5 bits for a 4-bit weight", at("R011", 55)),
    Wrong(G, "42", "A model on 4 GB whose embeddings alone take 5.1",
          reason="The card gives no size of the embeddings; `release portability` loads them."),
    Wrong(G, "71", "More than 8 GB suffice for 10.2 GB of weights", at("R011", 71)),
    Wrong(G, "111, 131", "0.724 and 0.753 for one quantity",
          reason="They carry two names; that both mean one is read from the steps between."),
    Wrong(G, "132", "The spread of three values divides by three", at("R022", 132)),
    Wrong(G, "124, 133", "A test of quantisation that varies seeds only",
          reason="What a test varies is told in words."),
    Wrong(G, "128-130", "Called stable, with one or two of five latents shared",
          reason="The card sets no threshold for the overlap, only for the difference."),
    Wrong(G, "111, 128-131, 154", "The largest d is no larger than chance gives",
          reason="Takes a simulation with the number of latents and samples."),
    Wrong(G, "98, 102", "Explained variance of 38 training vectors", at("R022", 98)),
    Wrong(G, "100", "181 of 6,144 latents alive", at("R022", 100)),
    Wrong(G, "102, 152, 174", "Pools of 38, 49 and 40",
          reason="They are named as the pools of three tests."),
    Wrong(G, "157-162", "The same examples for two latents", at("R022", 161, 162)),
    Wrong(G, "139-146", "Rates of different numbers of samples, none of them given",
          at("R016", 139)),
    Wrong(G, "111-118", "Sixteen digits", at("R022", 111, 112, 117, 118)),
    Wrong(G, "44", "A lower bound among exact settings", at("R019", 44)),
    Wrong(G, "184", '"first-ever", without evidence', at("R019", 184)),
    Wrong(G, "184", '"see:", followed by nothing', at("R015", 184)),
    Wrong(G, "63-66", "Noise below 5%, and 8 bits before fp16",
          reason="Takes a measurement; `release portability` makes it."),
    Wrong(G, "28-30", "Labels of two judges that were not used",
          reason="Two statements that do not exclude each other."),
    Wrong(G, "3", "A layer, and no hook name or module path", at("R008", 3)),
    Wrong(G, "205", "Weights as a pickle, which SAELens does not load", at("R012", 206)),
    Wrong(G, "190, 209", "The class of the SAE lies in another repository",
          reason="What another repository holds is not looked up."),
)  # fmt: skip

# Found too, and rightly: code, lines by card, why.
BESIDE = (
    ("R013", {S: (101, 169, 170, 171), N: (72, 127)},
     "The sentences of tinyllama-1-1b, lines 105 and 173-175"),
    ("R020", {T: (177,), S: (12, 67, 165), N: (8, 46, 124)},
     "The sentences of tinyllama-1-1b, lines 13, 70 and 169"),
    ("R016", {S: (29,), N: (20,)}, "The rows of tinyllama-1-1b, line 30"),
    ("R008", {T: (128,), S: (124, 165), N: (91,)}, "The same names again"),
    ("R014", dict.fromkeys(CARDS, (1,)), "The pages were copied without their front matter"),
    ("R018", {T: (76,), S: (73,), N: (48,), G: (191,)},
     "The pages were copied without their code blocks"),
)  # fmt: skip

# What checks out: card, line, the words it is about.
RIGHT = (
    (T, 3, "39 Sparse Autoencoders (30 original + 9 STE-validated)"),
    (T, 9, "39 SAEs — 30 original + 9"),
    (T, 10, "L3, L6, L9, L12, L15 (original); L9, L12, L15 (STE)"),
    (T, 11, "2 architectures: TopK (k=64), JumpReLU"),
    (T, 12, "3 training conditions: mixed, deceptive_only, honest_only"),
    (T, 14, "d_in=2048, d_sae=8192 (4x expansion)"),
    (T, 31, "14/30 (47%)"),
    (T, 35, "(47%): 14 of 30"),
    (T, 37, "(+5.4pp)"),
    (T, 39, "69.2% vs TopK = 64.1% (+5.1pp)"),
    (T, 39, "8/9 STE-validated conditions"),
    (T, 39, "15/18 STE conditions (83%)"),
    (T, 61, "4x (2048 → 8192)"),
    (T, 63, "mixed (n=243), deceptive_only (n=84), honest_only (n=159)"),
    (S, 9, "54 SAEs across 9 layers (L3, L4, L5, L6, L9, L12, L15, L18, L21)"),
    (S, 10, "2 architectures: TopK (k=64), JumpReLU"),
    (S, 11, "3 training conditions"),
    (S, 13, "d_in=576, d_sae=2304 (4x expansion)"),
    (S, 26, "L4 (13% depth"),
    (S, 30, "24/54 (44%)"),
    (S, 32, "Layer 4 (13% depth)"),
    (S, 38, "30 transformer layers"),
    (S, 58, "4x (576 → 2304)"),
    (S, 60, "mixed (n=181), deceptive_only (n=96), honest_only (n=85)"),
    (N, 2, "1.88B parameter"),
    (N, 9, "d_in=2048, d_sae=8192 (4x expansion)"),
    (N, 40, "4x (2048 → 8192)"),
    (N, 42, "mixed (all n=1327), deceptive_only (n=650), honest_only (n=677)"),
    (G, 40, "5.1B params, 35 layers, d_model=1536"),
    (G, 87, "TopK SAE (k=16)"),
    (G, 88, "d_in: 1536"),
    (G, 89, "d_sae: 6144 (expansion factor 4x)"),
    (G, 99, "16.0"),
    (G, 128, "0.561, abs delta = 0.192"),
    (G, 129, "0.775, abs delta = 0.022"),
    (G, 130, "0.643, abs delta = 0.110"),
    (G, 132, "0.660"),
    (G, 177, "0.475 ± 0.215 0.500"),
    (G, 178, "0.500 ± 0.137 0.463"),
    (G, 179, "0.525 ± 0.094 0.525"),
    (G, 180, "0.450 ± 0.187 0.537"),
)


def page() -> str:
    """The Markdown of docs/seed-cards.md."""
    n_found = sum(1 for wrong in WRONG if wrong.found)
    n_by_manifest = sum(1 for wrong in WRONG if wrong.by_manifest)
    lines = [
        "# Four published cards, and what the checks find on them",
        "",
        "Four cards of the study were read by hand, number by number. Each thing that is wrong",
        "stands below, with the check that finds it and the line at which it does, or with the",
        "reason why no rule finds it. Lines are those of the cards' text without front matter and",
        "code fences. The cards are their authors' and are not kept here; with them in the folder",
        "that SAE_RELEASE_SEED_CARDS names, tests/validators/test_card_lint_seeds.py holds this",
        "page, which `python tests/validators/seed_lines.py` writes, to what the checks find.",
        "",
        f"Of {len(WRONG)} things that are wrong, {n_found} are found, {n_by_manifest} of them only"
        f" with the manifest at hand; {len(WRONG) - n_found} are not mechanical. {len(RIGHT)}"
        " numbers that are right raise nothing.",
    ]
    for card in CARDS:
        lines += ["", f"## {card}", "", "| lines | what is wrong | found |", "|---|---|---|"]
        for wrong in WRONG:
            if wrong.card == card:
                lines.append(f"| {wrong.lines} | {_cell(wrong.what)} | {_cell(_found(wrong))} |")
    lines += [
        "",
        "## Found besides",
        "",
        "Right as well, though the list above does not have them.",
        "",
        "| check | where | why it is right |",
        "|---|---|---|",
    ]
    for code, where, why in BESIDE:
        places = "; ".join(f"{card} {_numbers(numbers)}" for card, numbers in where.items())
        lines.append(f"| {code} | {places} | {why} |")
    return "\n".join(lines) + "\n"


def _found(wrong: Wrong) -> str:
    if not wrong.found:
        return f"not mechanical: {wrong.reason}"
    by_code: dict[str, list[int]] = {}
    for code, line in wrong.found:
        by_code.setdefault(code, []).append(line)
    said = "; ".join(f"{code}, line {_numbers(lines)}" for code, lines in by_code.items())
    return f"{said} (with the manifest)" if wrong.by_manifest else said


def _numbers(numbers: list[int] | tuple[int, ...]) -> str:
    return ", ".join(str(number) for number in numbers)


def _cell(text: str) -> str:
    return text.replace("_", "\\_")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
