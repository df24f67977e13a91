"""The frozen base model and its tokenizer, and the exact tokens of a completion."""

from __future__ import annotations

import contextlib
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.base_model import BaseModelSpec, Precision
from manifests.completions import Completion
from manifests.digests import file_sha256, json_sha256
from manifests.errors import MissingExtra, ReleaseError, UsageError
from validators.base_models.checkpoint_source import (
    Checkpoint,
    locate_checkpoint,
    locate_hub_checkpoint,
    locate_named_checkpoint,
)
from validators.base_models.precisions import (
    compute_capability,
    is_by_bitsandbytes,
    loading_arguments,
    refuse_missing_bf16,
    refuse_missing_fp8,
    require_quantiser,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_HUB_NAME = re.compile(r"(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9][\w.-]{0,95}(?:@[\w./-]{1,200})?")


class BaseModelProblem(ReleaseError):
    """The base model disagrees with the manifest, or cannot be loaded."""


@dataclass(frozen=True)
class BaseModel:
    """A loaded base model: evaluation mode, no gradients.

    `digest` names the weights: the SHA-256 of the packaged GGUF file, or `checkpoint_digest` of
    a folder. `source` says in words where they came from.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    digest: str
    source: str


def load_base_model(
    spec: BaseModelSpec, *, override: str | None = None, device: str = "cpu"
) -> BaseModel:
    """Load the base model in the precision that the manifest states.

    Taken from, in this order: `override`; the package that the manifest names; the Hub.

    Args:
        spec: the manifest's `base_model`.
        override: a local folder, or a Hub id with an optional `@revision`.
        device: where torch puts the weights.

    Raises:
        MissingExtra: torch, transformers, for a package gguf, or for a quantised precision
            bitsandbytes is not installed.
        PrecisionProblem: the device computes no bf16, or no fp8.
        PackagedModelProblem: the package is missing or carries another file.
        BaseModelUnreachable: the Hub cannot be reached, or refuses or lacks the model.
        BaseModelProblem: the checkpoint cannot be loaded or is not the model that the manifest
            describes.
        UsageError: `override` is neither a folder nor a Hub id.
    """
    _need_packages()
    require_quantiser(spec.precision)
    refuse_missing_bf16(spec.precision, compute_capability(device))
    refuse_missing_fp8(spec.precision, compute_capability(device))
    checkpoint = locate_checkpoint(spec, override=override)
    _check_config(checkpoint, spec)
    return _base_model(checkpoint, spec.auto_class, spec.precision, device)


def load_named_base_model(name: str, *, device: str = "cpu") -> BaseModel:
    """Load a causal language model in float32, without a manifest that describes it.

    Args:
        name: a local folder, a Hub id with an optional `@revision`, or TransformerLens' short name
            of a model, such as `gpt2-small`.
        device: where torch puts the weights.

    Raises:
        MissingExtra: torch or transformers is not installed.
        BaseModelUnreachable: the Hub cannot be reached, or refuses or lacks the model.
        BaseModelProblem: the checkpoint cannot be loaded.
        UsageError: it is neither a folder nor a Hub id, and no short name.
    """
    _need_packages()
    if not Path(name).is_dir():
        return load_hub_base_model(name, device=device)
    checkpoint = locate_named_checkpoint(name)
    return _base_model(checkpoint, "AutoModelForCausalLM", Precision(), device)


def load_hub_base_model(name: str, *, device: str = "cpu") -> BaseModel:
    """As `load_named_base_model`, but never from a folder.

    For names that stand in a repository's configs: a stranger must not choose a place on this
    machine, or make it ask another one for a network share.

    Raises:
        UsageError: the name has not the form of a Hub id or a short name.
        MissingExtra, BaseModelUnreachable, BaseModelProblem: as `load_named_base_model`.
    """
    _need_packages()
    if not _HUB_NAME.fullmatch(name):
        raise UsageError(
            f"{name!r:.80} is no base model that the Hub could have",
            where="the base model",
            expected="owner/name with an optional @revision, or TransformerLens' short name",
            next_step="give the base model with --base-model ID_OR_PATH",
        )
    if "/" not in name:
        name = _official_name(name)
    checkpoint = locate_hub_checkpoint(name)
    return _base_model(checkpoint, "AutoModelForCausalLM", Precision(), device)


def _need_packages() -> None:
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(
                needed_for="running the base model", package=package, extra="measure"
            )


def _official_name(short: str) -> str:
    """The Hub id of a model that SAELens' users know by TransformerLens' short name."""
    if importlib.util.find_spec("transformer_lens") is None:
        return short
    from transformer_lens.loading_from_pretrained import get_official_model_name

    try:
        official = str(get_official_model_name(short))
    except ValueError:
        return short
    return official if "/" in official else f"openai-community/{official}"


def _base_model(
    checkpoint: Checkpoint, auto_class: str, precision: Precision, device: str
) -> BaseModel:
    model, tokenizer = _load(checkpoint, auto_class, precision, device)
    return BaseModel(
        model=model,
        tokenizer=tokenizer,
        digest=checkpoint.packaged_sha256 or checkpoint_digest(checkpoint.folder),
        source=checkpoint.source,
    )


def checkpoint_digest(folder: Path) -> str:
    """Name of a checkpoint's weights: SHA-256 of the JSON {file name: SHA-256 of the file}.

    Over `config.json` and every `*.safetensors` directly in the folder; not over the tokenizer,
    whose files every version of transformers writes anew.
    """
    files = [folder / "config.json", *folder.glob("*.safetensors")]
    return json_sha256({path.name: file_sha256(path) for path in files})


def prompt_token_ids(tokenizer: PreTrainedTokenizerBase, prompt: str, opening: str) -> list[int]:
    """The tokens before a completion: the chat template around `prompt`, then `opening`.

    A tokenizer without a chat template gets the prompt, a line break and the opening, with the
    special tokens it adds by itself.
    """
    text, adds_special_tokens = _prompt_text(tokenizer, prompt, opening)
    return _encode(tokenizer, text, add_special_tokens=adds_special_tokens)


def completion_token_ids(
    tokenizer: PreTrainedTokenizerBase, completion: Completion
) -> tuple[list[int], int]:
    """The exact tokens of template, prompt, opening and completion.

    Returns:
        input_ids: all tokens, without an end-of-turn token after the completion.
        n_prompt: how many of them come before the completion; `input_ids[n_prompt:]` is the
            completion. They equal `prompt_token_ids`, so the completion is read after the same
            tokens that it was sampled after.
    """
    text, adds_special_tokens = _prompt_text(tokenizer, completion.prompt, completion.opening)
    prompt_ids = _encode(tokenizer, text, add_special_tokens=adds_special_tokens)
    whole = _encode(tokenizer, text + completion.completion, add_special_tokens=adds_special_tokens)
    n_prompt = len(prompt_ids)
    if whole[:n_prompt] != prompt_ids or len(whole) == n_prompt:
        # The last token of the opening would merge with the completion's first characters.
        own = _encode(tokenizer, completion.completion, add_special_tokens=False)
        whole = prompt_ids + own
    return whole, n_prompt


def _prompt_text(tokenizer: PreTrainedTokenizerBase, prompt: str, opening: str) -> tuple[str, bool]:
    if tokenizer.chat_template is None:
        return f"{prompt}\n{opening}", True
    message = [{"role": "user", "content": prompt}]
    templated = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    # The template writes the special tokens itself; added again, the first would stand twice.
    return f"{templated}{opening}", False


def _encode(
    tokenizer: PreTrainedTokenizerBase, text: str, *, add_special_tokens: bool
) -> list[int]:
    return [int(i) for i in tokenizer.encode(text, add_special_tokens=add_special_tokens)]


def _check_config(checkpoint: Checkpoint, spec: BaseModelSpec) -> None:
    """Compare a checkpoint's config with the manifest, before its weights are read."""
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise _unreadable(checkpoint, error) from error
    text_config = config.get_text_config()
    stated = {
        "model_type": (config.model_type, spec.model_type),
        "n_layers": (getattr(text_config, "num_hidden_layers", None), spec.n_layers),
        "d_model": (getattr(text_config, "hidden_size", None), spec.d_model),
    }
    wrong = {key: pair for key, pair in stated.items() if pair[0] != pair[1]}
    if wrong:
        raise BaseModelProblem(
            "the model has " + ", ".join(f"{key} {found}" for key, (found, _) in wrong.items()),
            where=checkpoint.source,
            expected=", ".join(f"{key} {wanted}" for key, (_, wanted) in wrong.items())
            + ", which base_model of the manifest states",
            next_step="correct base_model in the manifest, or name the right model",
        )


def _load(
    checkpoint: Checkpoint, auto_class: str, precision: Precision, device: str
) -> tuple[Any, Any]:
    import transformers

    arguments = loading_arguments(precision, device=device)

    try:
        with _silent_transformers():
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                checkpoint.folder, local_files_only=True
            )
            model = getattr(transformers, auto_class).from_pretrained(
                checkpoint.folder,
                local_files_only=True,
                use_safetensors=True,
                **arguments,
            )
    except (OSError, ValueError) as error:
        raise _unreadable(checkpoint, error) from error
    model.requires_grad_(False)
    # Weights of bitsandbytes are on their device, and some kinds cannot be moved.
    placed = model if is_by_bitsandbytes(precision) else model.to(device)
    if precision.weights == "fp8":
        from validators.base_models.fp8 import to_fp8

        to_fp8(placed)
    return placed.eval(), tokenizer


def _unreadable(checkpoint: Checkpoint, error: Exception) -> BaseModelProblem:
    return BaseModelProblem(
        f"the checkpoint cannot be loaded: {error}",
        where=f"{checkpoint.folder} ({checkpoint.source})",
        expected="config.json, tokenizer files and safetensors weights that transformers reads",
    )


@contextlib.contextmanager
def _silent_transformers() -> Iterator[None]:
    """No progress bars of transformers while the block runs."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()
