"""A tiny model of the base model's class, with random weights, for cards to run on.

Its residual stream has the base model's width, so the SAEs fit, and it has as many blocks. All else
is small: a vocabulary of bytes, one or two heads, a narrow MLP. It shows that a card's code runs,
and nothing of what the SAEs find.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from manifests.digests import json_sha256
from manifests.errors import ReleaseError

_SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unused>")
_PAD, _BOS, _EOS, _UNUSED = range(len(_SPECIAL_TOKENS))
_VOCABULARY = len(_SPECIAL_TOKENS) + 256
_NARROW, _HEAD_SIZE = 16, 16
# These take the heads' size from the width, whatever `head_dim` says; so their attention keeps the
# base model's size.
_HEADS_SHARE_THE_WIDTH = ("gpt2", "gpt_neox")
_MANY_PARAMETERS, _TOO_MANY_PARAMETERS = 200_000_000, 1_000_000_000
_TINY_VISION = {
    "hidden_size": _NARROW,
    "intermediate_size": _NARROW,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "image_size": 64,
    "patch_size": 4,
}
_TINY_TEXT = {
    "vocab_size": _VOCABULARY,
    "intermediate_size": _NARROW,
    "n_inner": _NARROW,
    "vocab_size_per_layer_input": _VOCABULARY,
    "hidden_size_per_layer_input": 8,
    "global_head_dim": 2 * _HEAD_SIZE,
    "pad_token_id": _PAD,
    "bos_token_id": _BOS,
    "eos_token_id": _EOS,
}


class NoStandIn(ReleaseError):
    """No tiny model of the base model's class can be made here."""

    exit_code = 3


@dataclass(frozen=True)
class StandInSpec:
    """What a stand-in is made from; equal specifications give equal models on one machine.

    Attributes:
        model_type: transformers' name of the architecture.
        auto_class: transformers' class that loads the base model.
        d_model: width of the residual stream.
        n_layers: blocks of the base model; None: not known.
        last_layer: the last block whose output an SAE reads, from 0.
        hooks: paths of the modules whose outputs the SAEs read.
    """

    model_type: str
    auto_class: str
    d_model: int
    n_layers: int | None
    last_layer: int
    hooks: tuple[str, ...]


def stand_in_folder(spec: StandInSpec, work: Path) -> Path:
    """A folder with a stand-in's config, weights and tokenizer, made on the first call.

    Args:
        spec: what it stands for.
        work: where it is kept, in a folder named by the specification's digest.

    Raises:
        NoStandIn: transformers has no such class, it cannot be made small, or what came out has
            not the modules and the width that the SAEs read.
    """
    import torch
    import transformers

    digest = json_sha256({**asdict(spec), "transformers": transformers.__version__})
    folder = work / f"{spec.model_type}-{digest[:16]}"
    if folder.is_dir():
        return folder
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    try:
        with _silent_transformers():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                model = _model(spec)
            _require_places(model, spec)
            partial.mkdir(parents=True)
            model.save_pretrained(partial)
            _tokenizer().save_pretrained(partial)
        try:
            partial.rename(folder)
        except OSError:
            # Another process may have made the same one meanwhile.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _model(spec: StandInSpec) -> Any:
    """The model, with the base model's number of blocks, or fewer where that would be large."""
    import torch
    import transformers

    auto_class = getattr(transformers, spec.auto_class)
    needed = spec.last_layer + 1
    for n_layers in dict.fromkeys((max(spec.n_layers or 0, needed), needed)):
        config = _config(spec, n_layers)
        try:
            with torch.device("meta"):
                n_parameters = auto_class.from_config(config).num_parameters()
        except (ValueError, RuntimeError, TypeError, AttributeError) as error:
            raise _refusal(spec, f"{type(error).__name__}: {error}") from error
        limit = _TOO_MANY_PARAMETERS if n_layers == needed else _MANY_PARAMETERS
        if n_parameters <= limit:
            return auto_class.from_config(_config(spec, n_layers)).float().eval()
    raise _refusal(
        spec, f"its attention keeps the width of {spec.d_model}: {n_parameters} parameters"
    )


def _config(spec: StandInSpec, n_layers: int) -> Any:
    import transformers

    if spec.model_type not in transformers.CONFIG_MAPPING:
        raise _refusal(spec, f"transformers {transformers.__version__} has no such model_type")
    config_class = transformers.CONFIG_MAPPING[spec.model_type]
    default = config_class()
    text = default.get_text_config()
    values = _text_values(spec, text, n_layers)
    try:
        if text is default:
            return config_class(**values)
        modalities = {"vision_config": _TINY_VISION} if _has(default, "vision_config") else {}
        return config_class(
            text_config=type(text)(**values).to_dict(), **modalities, **_modality_tokens(default)
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise _refusal(spec, f"{type(error).__name__}: {error}") from error


def _text_values(spec: StandInSpec, default: Any, n_layers: int) -> dict[str, Any]:
    n_heads = 2 if spec.d_model % 16 == 0 else 1
    values = {name: value for name, value in _TINY_TEXT.items() if hasattr(default, name)}
    values |= {
        "hidden_size": spec.d_model,
        "num_hidden_layers": n_layers,
        "num_attention_heads": n_heads,
    }
    if hasattr(default, "num_key_value_heads"):
        values["num_key_value_heads"] = 1
    if spec.model_type not in _HEADS_SHARE_THE_WIDTH:
        values["head_dim"] = _HEAD_SIZE
    return values


def _has(config: Any, part: str) -> bool:
    """Whether a composite configuration brings a part by default."""
    return getattr(config, part, None) is not None


def _modality_tokens(default: Any) -> dict[str, int]:
    """Tokens of images and sounds: one that no text has, since the usual ids are not there."""
    own = default.to_dict()
    return {
        name: _UNUSED
        for name in own
        if name.endswith(("_token_id", "_token_index"))
        and name.partition("_")[0] in ("image", "video", "audio", "boi", "eoi", "boa", "eoa")
    }


def _tokenizer() -> Any:
    """A tokenizer whose tokens are bytes, with special tokens and without a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = [*_SPECIAL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=_SPECIAL_TOKENS[_PAD],
        bos_token=_SPECIAL_TOKENS[_BOS],
        eos_token=_SPECIAL_TOKENS[_EOS],
        additional_special_tokens=[_SPECIAL_TOKENS[_UNUSED]],
    )


def _require_places(model: Any, spec: StandInSpec) -> None:
    """Run the model once and look at what the SAEs would read.

    Raises:
        NoStandIn: a module is not there, or its output has another width.
    """
    import torch

    modules = dict(model.named_modules())
    if missing := [hook for hook in spec.hooks if hook not in modules]:
        raise _refusal(spec, f"{type(model).__name__} has no module {missing[0]}")
    widths: dict[str, int] = {}
    with contextlib.ExitStack() as handles:
        for hook in spec.hooks:
            handle = modules[hook].register_forward_hook(_noting(hook, widths))
            handles.callback(handle.remove)
        with torch.inference_mode():
            model(torch.tensor([[_BOS, _VOCABULARY - 2, _VOCABULARY - 1]]))
    for hook in spec.hooks:
        if widths.get(hook) != spec.d_model:
            raise _refusal(spec, f"{hook} has the width {widths.get(hook)}, not {spec.d_model}")


def _noting(hook: str, widths: dict[str, int]) -> Callable[[Any, Any, Any], None]:
    def note(_module: Any, _inputs: Any, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) else output
        widths[hook] = int(first.shape[-1])

    return note


@contextlib.contextmanager
def _silent_transformers() -> Iterator[None]:
    """No progress bars of transformers, and no advice on a configuration that nobody chose."""
    from transformers.utils import logging

    had_bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()


def _refusal(spec: StandInSpec, why: str) -> NoStandIn:
    return NoStandIn(
        f"no tiny model of model_type {spec.model_type} can be made: {why}",
        where="the code blocks of README.md",
        expected="the base model, or a model of its class that the SAEs fit",
        next_step="give the base model with --base-model ID_OR_PATH",
    )
