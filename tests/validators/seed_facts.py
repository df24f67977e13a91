"""Facts of four published cards, and what is wrong on them, as patterns for a rendered card.

The cards are their authors' and are not kept here. A pattern is searched, ignoring case, in the
card's text without marks of Markdown and without commas in numbers (`plain`). What is wrong counts
as standing where its pattern is found, unless the words that settle it stand there too.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

T, S, N, G = "tinyllama-1-1b", "smollm2-135m", "nanochat-d32", "gemma4-e2b-gf1"


@dataclass(frozen=True)
class Fact:
    """Something that a card states and that is not wrong."""

    label: str
    pattern: str

    def stands_on(self, card: str) -> bool:
        return re.search(self.pattern, card, re.IGNORECASE | re.MULTILINE) is not None


@dataclass(frozen=True)
class Wrong(Fact):
    """Something that is wrong on a card, in the order of tests/validators/seed_lines.py."""

    unless: str = ""

    def stands_on(self, card: str) -> bool:
        settled = self.unless and re.search(self.unless, card, re.IGNORECASE | re.MULTILINE)
        return super().stands_on(card) and not settled


def plain(card: str) -> str:
    """The text of a card without front matter, comments and Markdown's marks."""
    text = re.sub(r"\A---\n.*?\n---\n|<!--.*?-->", "", card, flags=re.DOTALL)
    text = re.sub(r"[\\`*]", "", html.unescape(re.sub(r"</?code>", "", text)))
    return re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)


def _study(repo: str, base_model: str, blocks: int) -> tuple[Fact, ...]:
    """What the three cards of one study have in common."""
    return (
        Fact("repository", rf"{repo}"),
        Fact("base model", rf"{base_model}"),
        Fact("blocks of the base model", rf"has {blocks} blocks"),
        Fact("k of TopK", r"TopK: k 64"),
        Fact("expansion", r"\(4 latents for each input dimension\)"),
        Fact("site", r"blocks\.\d+\.hook_resid_post"),
        Fact("format", r"sae_weights\.safetensors"),
        Fact("classifier", r"Gemini 2\.5 Flash"),
        Fact("machine", r"GTX 1650 Ti Max-Q"),
        Fact("memory of the GPU", r"memory \| 4 GB"),
        Fact("system", r"Windows 11 Pro"),
        Fact("epochs", r"epochs 300"),
        Fact("batch size", r"batch_size 128"),
        Fact("paper", r"2509\.20393"),
        Fact("code", r"github\.com/SolshineCode/deception-nanochat-sae-research"),
        Fact("collection", r"deception-behavioral-saes-saelens"),
        Fact("plain JumpReLU is a ReLU", r"ReLU saved as JumpReLU"),
        Fact("half of the latents active", r"half of the latents|50% of d_sae|50% feature density"),
        Fact("date of the STE fix", r"2026-04-11|11 April 2026"),
    )


def _layers(*layers: int, n: int) -> tuple[Fact, ...]:
    return tuple(Fact(f"L{k}: {n} SAEs", rf"\| {k} \| .*\| {n} \|$") for k in layers)


def _conditions(mixed: int, deceptive: int, honest: int) -> tuple[Fact, ...]:
    return (
        Fact("completions, mixed", rf"\| mixed \| .*\| {mixed} \|"),
        Fact("completions, deceptive", rf"\| deceptive_only \| .*\| {deceptive} \|"),
        Fact("completions, honest", rf"\| honest_only \| .*\| {honest} \|"),
    )


def _reported(label: str, value: str, *, layer: int | None = None, sae: str = "") -> Fact:
    """A row of a table of reported numbers."""
    at = rf".*\| {layer} \|" if layer is not None else ""
    return Fact(label, rf"\| {value} \|{at}" + (rf" {sae} \|" if sae else ""))


FACTS: dict[str, tuple[Fact, ...]] = {
    T: (
        *_study("Solshine/deception-saes-tinyllama-1-1b", "TinyLlama-1.1B-intermediate", 22),
        Fact("SAEs", r"\b39 sparse autoencoders"),
        Fact("sizes", r"d_in 2048 and d_sae 8192"),
        *_layers(3, 6, n=6),
        *_layers(9, 12, 15, n=9),
        Fact("architectures", r"Architectures: .*TopK.*JumpReLU"),
        *_conditions(243, 84, 159),
        Fact("temperature", r"temperature[^\n|]{0,30}[ =]1(?:\.0)?\b"),
        Fact("tokens of the base model", r"\b3 trillion|3T\b"),
        Fact("MLP of the base model", r"SwiGLU"),
        _reported("raw peak balanced accuracy", r"72\.4%", layer=21),
        _reported("raw peak AUROC", r"0\.784"),
        _reported("best SAE probe", r"77\.8%", layer=15, sae="tinyllama_jumprelu_L15_honest_only"),
        _reported("SAEs above raw", "14 of 30"),
        _reported("accuracy at L3", "about 55%", layer=3),
        _reported("mean of STE", r"69\.2%"),
        _reported("mean of TopK", r"64\.1%"),
        _reported("STE above TopK", "8 of 9"),
        _reported("STE above TopK with d20", "15 of 18"),
        Fact("inconclusive", r"\b(?:one|1) (?:\w+ )?(?:was |is )?inconclusive|inconclusive"),
        Fact("kernel of STE", r"variant ste: .*kernel gaussian"),
    ),
    S: (
        *_study("Solshine/deception-saes-smollm2-135m", "HuggingFaceTB/SmolLM2-135M", 30),
        Fact("SAEs", r"\b54 sparse autoencoders"),
        Fact("sizes", r"d_in 576 and d_sae 2304"),
        *_layers(3, 4, 5, 6, 9, 12, 15, 18, 21, n=6),
        Fact("architectures", r"Architectures: .*TopK.*JumpReLU"),
        *_conditions(181, 96, 85),
        Fact("MLP of the base model", r"SwiGLU"),
        _reported("raw peak balanced accuracy", "about 69%", layer=4),
        _reported("raw peak AUROC", r"0\.725"),
        _reported("best SAE probe", r"67\.2%", layer=21, sae="smollm2_topk_L21_deceptive_only"),
        _reported("SAEs above raw", "24 of 54"),
        _reported("raw at L21", r"52\.88%", layer=21),
        _reported("largest d", r"0\.825", layer=9, sae="smollm2_jumprelu_L9_mixed"),
        Fact("incoherent", r"incoheren|coherence is limited"),
        Fact("timed out", r"werewolf_game.*timed out"),
        _reported("STE above TopK elsewhere", "15 of 18"),
    ),
    N: (
        *_study("Solshine/deception-saes-nanochat-d32", "karpathy/nanochat-d32", 32),
        Fact("SAEs", r"\b54 sparse autoencoders"),
        Fact("sizes", r"d_in 2048 and d_sae 8192"),
        *_layers(4, 8, 12, 16, 20, 24, n=9),
        Fact("architectures", r"Architectures: .*TopK.*Gated"),
        *_conditions(1327, 650, 677),
        Fact("temperature", r"temperature[^\n|]{0,30}[ =]1(?:\.0)?\b"),
        Fact("learning rate", r"learning_rate 0\.0003|learning_rate 3e-4"),
        _reported("raw peak balanced accuracy", r"86\.9%", layer=12),
        _reported("raw peak AUROC", r"0\.923"),
        _reported("best SAE probe", r"84\.5%", layer=12, sae="d32_jumprelu_L12_deceptive_only"),
        Fact("SAEs above raw", r"\| 2(?: of \d+)? \|"),
        _reported("JumpReLU, lowest", r"84\.2%", layer=12),
        _reported("Gated, highest", r"83\.3%", layer=12),
        _reported("Gated, lowest", r"82(?:\.0)?%", layer=12),
        _reported("TopK, highest", r"69\.8%", layer=12),
        _reported("TopK, lowest", r"65\.7%", layer=12),
        _reported("largest d", r"0\.579", layer=12, sae="d32_gated_L12_mixed"),
        Fact("paired t-test", r"below 0\.001|< ?0\.001"),
        Fact("steering", r"above 0\.57|> ?0\.57"),
        _reported("STE above TopK elsewhere", "15 of 18"),
        Fact("parameters of the base model", r"1\.88B|1879048192|1\.9B"),
    ),
    G: (
        Fact("repository", r"Solshine/gemma4_e2b_gf1_behaviorSAE_topk_k16_L25_bnb4bit"),
        Fact("base model", r"google/gemma-4-E2B"),
        Fact("blocks of the base model", r"has 35 blocks"),
        Fact("sizes", r"d_in 1536 and d_sae 6144"),
        Fact("expansion", r"\(4 latents for each input dimension\)"),
        Fact("k", r"TopK: k 16"),
        Fact("layer", r"\| 25 \| .*\| 1 \|$"),
        Fact("what labels tell apart", r"role-consistency|keep(?:s)? to (?:an|its) assigned role"),
        Fact("use: reference", r"reference (?:implementation|for)"),
        Fact("use: baseline", r"baseline for"),
        Fact("use: role play", r"role-play(?:-coherence)?"),
        Fact("not for lie detection", r"lie detection|deception or lies"),
        Fact("keyword rule", r"first 30 characters"),
        Fact("judges agree", r"(?:about |~)90%"),
        Fact("quantisation", r'bnb_4bit_quant_type="nf4"'),
        Fact("double quantisation", r"bnb_4bit_use_double_quant=True"),
        Fact("compute", r"bnb_4bit_compute_dtype=torch\.float16"),
        Fact("machine", r"GTX 1650 Ti with Max-Q"),
        Fact("capability", r"7\.5"),
        Fact("driver", r"driver 581\.57"),
        Fact("torch", r"torch 2\.10\.0\+cu128"),
        Fact("transformers", r"transformers 5\.5\.4"),
        Fact("bitsandbytes", r"bitsandbytes 0\.44"),
        Fact("other model, E2B-IT", r"E2B-IT"),
        Fact("other model, E4B", r"E4B.*2560"),
        Fact("untested elsewhere", r"untested|not tested|not measured"),
        _reported("explained variance", r"0\.995 \| 38"),
        Fact("L0", r"\| 16(?:\.0)? \| 38"),
        _reported("alive", "181 of 6144"),
        _reported("MSE", r"0\.01685"),
        Fact("training vectors", r"\| 38 \|"),
        _reported("training time", r"4\.8 s"),
        Fact("date", r"2026-04-22"),
        _reported("d_max, training", r"0\.7240?"),
        _reported("d_max, evaluation", r"1\.5450?"),
        _reported("latents with d above 1", "0"),
        _reported("d_max, V0", r"1\.0970?"),
        _reported("d_max, V3", r"1\.7390?"),
        _reported("seed 101", r"0\.5610?"),
        _reported("seed 107", r"0\.7750?"),
        _reported("seed 113", r"0\.6430?"),
        _reported("default seed", r"0\.7530?"),
        _reported("overlap 101", "2 of 5"),
        _reported("overlap 107, 113", "1 of 5"),
        _reported("cosine", r"0\.310?"),
        *(_reported(f"honest rate {rate}", rf"0\.{rate}")
          for rate in (647, 686, 596, 549, 769, 745, 682)),
        *(_reported(f"d of {latent}", rf"0\.{d}")
          for latent, d in ((4117, 485), (6041, 471), (69, 469), (3407, 458), (2911, 408))),
        Fact("pool of T8", r"30H / 19D|T8 honest \| 30"),
        *(_reported(f"probe {name}", rf"0\.{mean} \u00b1 0\.{spread}")
          for name, mean, spread in (("raw", 475, 215), ("v4", 500, 137), ("this", 525, "094"),
                                     ("control", 450, 187))),
        *(_reported(f"AUROC {name}", rf"0\.{auroc}")
          for name, auroc in (("raw", 500), ("v4", 463), ("this", 525), ("control", 537))),
        Fact("samples of GF-4", r"20/class|\| 40 \|"),
        Fact("code", r"github\.com/SolshineCode/deception-nanochat-sae-research"),
    ),
}  # fmt: skip

_TITLE = Wrong("title and authors", r"undetected by current safety|author = \{Caleb DeLeeuw\}")
_HOOK = Wrong("a hook of two notations", r"layers\.(?:\{layer\}|\d+)\.hook_resid_post")
_TENSORS = Wrong(
    "threshold of TopK", r"\| TopK \|[^\n]*threshold \[|W_dec \[.*\], b_dec \[\d+\], threshold \["
)
_ONE_PROMPT = Wrong("a single prompt", r"\b(?:a single|one) (?:[\w-]+ ){0,3}prompt\b")

WRONG: dict[str, tuple[Wrong, ...]] = {
    T: (
        Wrong("72.4% at L15", r"L15[^|\n]{0,60}72\.4|72\.4%[^\n]*\| 15 \|"),
        Wrong("+5.37 points", r"5\.37"),
        Wrong("far better and nearly as good", r"substantially outperforms|nearly matches"),
        Wrong("no SAE at the peak", r"\| 21 \||peak layer L21", unless=r"No SAE at the layer"),
        Wrong("two accuracies compared", r"balanced accuracy \| 77\.8|77\.8%[^|\n]*baseline"),
        Wrong("+10.1 points", r"10\.1(?!\d)"),
        _HOOK,
        Wrong("thresholds of all", r"all (?:non-STE )?SAEs[^\n]{0,30}threshold"),
        Wrong("95% depth", r"\b95 ?%"),
        Wrong("not converged", r"not fully converged|intermediate checkpoint\b"),
        _TITLE,
        Wrong("kernel of the paper", r"gaussian[^\n]*(?:Rajamanoharan|2407\.14435)"),
        Wrong("versions of SAELens", r"(?:\u2265|>=) ?3\.[05]\b"),
        Wrong("module paths cannot work", r"will not work"),
        Wrong("Neuronpedia", r"Neuronpedia-compatible"),
        Wrong("run identically", r"run identically"),
        Wrong("from_dict", r"SAE\.from_dict"),
        Wrong("Option B", r"Option B"),
        Wrong("last tokens", r"\[:, -1, :\]|last token position"),
    ),
    S: (
        Wrong("thresholds of all", r"all SAEs[^\n]{0,30}threshold|learned \(54 SAEs\)"),
        _HOOK,
        _TENSORS,
        Wrong("+14.34 points", r"14\.34"),
        Wrong("shares of 181", r"(?:67\.2|52\.88)%[^\n]*\| 181 \|"),
        Wrong("SAEs help", r"SAEs help"),
        Wrong("400 to 600 s", r"400.{1,4}600"),
        Wrong("smallest model", r"smallest model"),
        _ONE_PROMPT,
        _TITLE,
    ),
    N: (
        Wrong("57 SAEs", r"\b57 (?:SAEs|sparse)", unless=r"give 54"),
        Wrong("2/57 is 3%", r"\b2 ?(?:of|/) ?57\b|\(3%\)"),
        Wrong("GPT-2", r"GPT-2 arch"),
        Wrong("GPT-NeoX", r"GPT-NeoX"),
        Wrong("not TransformerLens", r"not TransformerLens-style"),
        Wrong("a path of another class", r"transformer\.h\."),
        Wrong("thresholds of all", r"all (?:non-STE )?SAEs[^\n]{0,30}threshold"),
        _TENSORS,
        Wrong("no b_dec", r"pre_act = x @ W_enc"),
        Wrong("code without indentation", r"^(?:return torch\.relu|feature_acts = sae)"),
        Wrong("39% depth", r"\b39 ?%"),
        _ONE_PROMPT,
        Wrong("SAEs hurt", r"SAEs? hurt|consistently hurts|SAE-hurts"),
        Wrong("a decline to the end", r"declines? monotonically|toward the final layer"),
        _TITLE,
    ),
    G: (
        Wrong("3.5 bits", r"3\.5 bits ?/ ?param"),
        Wrong("4 GB hold it", r"memory \| 4 GB|\(4 GB VRAM", unless=r"does not fit the GPU"),
        Wrong("8 GB hold it", r"> ?8 GB"),
        Wrong("0.724 and 0.753", r"0\.753", unless=r"as its own section"),
        Wrong("spread by n", r"0?\.088\b"),
        Wrong("seeds for precisions", r"quanti[sz]ation-sensitivity|despite 4-bit"),
        Wrong("stable", r"\bverdict = STABLE\b|d_max is reproducible"),
        Wrong("d without a null", r"0\.561", unless=r"by chance|null distribution"),
        Wrong("EV of training vectors", r"\b0\.995", unless=r"0\.995 \| 38 \| training vectors"),
        Wrong("181 alive", r"alive[^\n]*181", unless=r"\| 181 of 6144 \|"),
        Wrong("three pools", r"30H / 19D(?! \|)|\| 49 \|(?! T8 pool)"),
        Wrong("one example twice", r"all players are shown"),
        Wrong("rates without n", r"0\.549(?! \| not reported)"),
        Wrong("16 digits", r"\d\.\d{9,}"),
        Wrong("a bound as exact", r"0\.44\+"),
        Wrong("first-ever", r"first-ever"),
        Wrong("see nothing", r"\bsee:\s*$"),
        Wrong("an order of precisions", r"<\s?5%|MEDIUM"),
        Wrong("labels not used", r"consortium"),
        Wrong("layer without hook", r"layer 25", unless=r"language_model\.layers\.25"),
        Wrong("a pickle", r"torch\.load\(|\.pt\""),
        Wrong("class elsewhere", r"sae/models\.py|sae\.models"),
    ),
}
