"""Activations of the demonstration's model at single tokens of real text, made once and kept.

    python benchmarks/token_activations.py [--vectors 125000] [--layer 9] [--threads 1]

The text is what documents the software installed beside this package: Python's reference manual
and docstrings of its standard library, and the long descriptions of the installed distributions.
Which these are differs between machines; the record beside the vectors names them, with a digest
of the documents read. Every paragraph is read once, so that licences and badges that many projects
share do not stand on both sides of the split; the split is by document. The first position of a
context is left out, and so are vectors of outlying norm (docs/terms.md).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from torch import Tensor

DEMO = ROOT / "manifests" / "demo-smollm2-135m-instruct.yaml"
FOLDER = ROOT / "build" / "benchmarks"
CONTEXT = 128
LAYER = 9
N_VECTORS = 125_000
_MIN_CONTEXT = 32
# So that one long change log is not a tenth of the text.
_MAX_CONTEXTS_PER_DOCUMENT = 8
_MIN_CHARACTERS = 200
_OUTLYING = 10
_ONE_IN = 10
_BATCH = 8


@dataclass(frozen=True)
class Document:
    """One text, and the software that it documents."""

    source: str
    text: str

    @property
    def sha256(self) -> str:
        """Digest of the text."""
        return hashlib.sha256(self.text.encode("utf-8", "replace")).hexdigest()

    @property
    def is_held_out(self) -> bool:
        """One document in ten, by its digest."""
        return int(self.sha256[:8], 16) % _ONE_IN == 0


@dataclass(frozen=True)
class Record:
    """What the vectors were made of.

    Attributes:
        documents_sha256: digest of the digests of the documents read, in their order.
        n_outlying: vectors left out for a norm above ten times the median.
    """

    base_model: str
    hook: str
    context: int
    sources: tuple[str, ...]
    n_documents_train: int
    n_documents_held_out: int
    n_paragraphs_dropped: int
    documents_sha256: str
    n_train: int
    n_held_out: int
    n_outlying: int


@dataclass(frozen=True, eq=False)
class TokenActivations:
    """Vectors of both sides of the split, [n, d_in] float32."""

    train: Tensor
    held_out: Tensor
    record: Record


def installed_documents() -> list[Document]:
    """What is installed here, each text once, ordered by digest."""
    from validators.evidence.text_corpus import shipped_corpus

    shipped = shipped_corpus()
    found = [Document(shipped.name, text) for text in shipped.documents]
    for distribution in distributions():
        # The message type answers None for a missing header, and its stub does not know it.
        about: Any = distribution.metadata
        text = about.get_payload() or about["Description"]
        if isinstance(text, str):
            name = f"{about['Name']} {about['Version']}"
            found.append(Document(name, text.replace("\r\n", "\n").strip()))
    return sorted({document.sha256: document for document in found}.values(), key=_digest)


def _digest(document: Document) -> str:
    return document.sha256


def each_paragraph_once(documents: Iterable[Document]) -> tuple[list[Document], int]:
    """The documents without paragraphs that stood before, and how many those were.

    Paragraphs are compared without their white space and capitals. A document of which less than
    200 characters are left is dropped; its paragraphs do not count as repeated.
    """
    seen: set[str] = set()
    kept: list[Document] = []
    n_repeated = 0
    for document in documents:
        own: list[str] = []
        for paragraph in document.text.split("\n\n"):
            words = " ".join(paragraph.lower().split())
            if words and words in seen:
                n_repeated += 1
            elif words:
                seen.add(words)
                own.append(paragraph.rstrip())
        text = "\n\n".join(own).strip()
        if len(text) >= _MIN_CHARACTERS:
            kept.append(Document(document.source, text))
    return kept, n_repeated


def contexts_of(ids: Sequence[int]) -> list[list[int]]:
    """Pieces of at most 128 tokens, at most eight of a document, none below 32."""
    pieces = [list(ids[start : start + CONTEXT]) for start in range(0, len(ids), CONTEXT)]
    return [piece for piece in pieces if len(piece) >= _MIN_CONTEXT][:_MAX_CONTEXTS_PER_DOCUMENT]


def chosen_documents(
    documents: Iterable[Document], tokenizer: Any, n_vectors: int
) -> list[tuple[Document, list[list[int]]]]:
    """Documents with their contexts, until these give `n_vectors` vectors.

    Raises:
        SystemExit: too little text is installed.
    """
    chosen: list[tuple[Document, list[list[int]]]] = []
    n_found = 0
    for document in documents:
        if n_found >= n_vectors:
            return chosen
        contexts = contexts_of(tokenizer.encode(document.text, add_special_tokens=False))
        if contexts:
            chosen.append((document, contexts))
            n_found += sum(len(context) - 1 for context in contexts)
    if n_found < n_vectors:
        raise SystemExit(f"the installed documentation gives {n_found} of {n_vectors} vectors")
    return chosen


def states_after(model: Any, layer: int, contexts: Sequence[list[int]]) -> Iterator[Tensor]:
    """Output of the layer's block for each context in turn, [positions, d_in], float32.

    The model loses its later layers.
    """
    import torch

    blocks = model.model.layers
    model.model.layers = blocks[: layer + 1]
    outputs: list[Tensor] = []

    def keep(module: Any, args: Any, output: Any) -> None:  # noqa: ARG001
        outputs.append(output[0] if isinstance(output, tuple) else output)

    handle = blocks[layer].register_forward_hook(keep)
    with torch.inference_mode():
        for start in range(0, len(contexts), _BATCH):
            batch = contexts[start : start + _BATCH]
            longest = max(len(ids) for ids in batch)
            padding = [longest - len(ids) for ids in batch]
            ids = torch.tensor([a + [0] * n for a, n in zip(batch, padding, strict=True)])
            mask = torch.tensor(
                [[1] * len(a) + [0] * n for a, n in zip(batch, padding, strict=True)]
            )
            model.model(input_ids=ids, attention_mask=mask, use_cache=False)
            states = outputs.pop()
            yield from (states[i, : len(context)].float() for i, context in enumerate(batch))
    handle.remove()


def capture(n_vectors: int, layer: int) -> TokenActivations:
    """Read the text and run the model over it."""
    import torch

    from manifests.load import load_manifest
    from validators.base_models.base_model import load_base_model

    base = load_base_model(load_manifest(DEMO).manifest.base_model)
    documents, n_repeated = each_paragraph_once(installed_documents())
    chosen = chosen_documents(documents, base.tokenizer, n_vectors)
    # By length, so that hardly any padding is computed; stable, so that the order is fixed.
    flat = sorted(
        ((document, ids) for document, contexts in chosen for ids in contexts),
        key=lambda pair: len(pair[1]),
    )
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    started, n_done = time.monotonic(), 0
    states = states_after(base.model, layer, [ids for _, ids in flat])
    for (document, ids), after in zip(flat, states, strict=True):
        sides[document.is_held_out].append(after[1:].clone())
        n_done += len(ids)
        if n_done // 10_000 > (n_done - len(ids)) // 10_000:
            print(f"{n_done} tokens, {time.monotonic() - started:.0f} s", file=sys.stderr)
    train, held_out = torch.cat(sides[0]), torch.cat(sides[1])
    norms = torch.cat([train.norm(dim=1), held_out.norm(dim=1)])
    usual = norms <= _OUTLYING * norms.median()
    train, held_out = train[usual[: len(train)]], held_out[usual[len(train) :]]
    read = [document for document, _ in chosen]
    record = Record(
        base_model=base.source,
        hook=f"model.layers.{layer}",
        context=CONTEXT,
        sources=tuple(sorted({document.source for document in read})),
        n_documents_train=sum(not document.is_held_out for document in read),
        n_documents_held_out=sum(document.is_held_out for document in read),
        n_paragraphs_dropped=n_repeated,
        documents_sha256=hashlib.sha256("\n".join(map(_digest, read)).encode()).hexdigest(),
        n_train=len(train),
        n_held_out=len(held_out),
        n_outlying=int((~usual).sum()),
    )
    return TokenActivations(train, held_out, record)


def token_activations(
    folder: Path = FOLDER, *, n_vectors: int = N_VECTORS, layer: int = LAYER
) -> TokenActivations:
    """The vectors stored in the folder; captured first where there are none."""
    from safetensors.torch import load_file, save_file

    path = folder / f"tokens-layer{layer}-{n_vectors}.safetensors"
    about = path.with_suffix(".json")
    if not about.is_file():
        made = capture(n_vectors, layer)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"train": made.train, "held_out": made.held_out}, path)
        # Written last: it stands for a complete file of vectors.
        text = json.dumps(asdict(made.record), indent=1) + "\n"
        about.write_text(text, encoding="utf-8", newline="\n")
    stored = load_file(path)
    fields = json.loads(about.read_text(encoding="utf-8"))
    record = Record(**{**fields, "sources": tuple(fields["sources"])})
    return TokenActivations(stored["train"], stored["held_out"], record)


def main() -> None:
    """Make the vectors where they are missing, and print what they were made of."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--vectors", type=int, default=N_VECTORS)
    parser.add_argument("--layer", type=int, default=LAYER)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", str(arguments.threads))
    import torch

    torch.set_num_threads(arguments.threads)
    record = token_activations(
        arguments.folder, n_vectors=arguments.vectors, layer=arguments.layer
    ).record
    for name, value in asdict(record).items():
        shown = f"{len(value)}, of which {value[0]}, ..." if name == "sources" else value
        print(f"{name:22} {shown}")


if __name__ == "__main__":
    main()
