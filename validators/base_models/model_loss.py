"""What the base model loses when an SAE's reconstruction takes the place of the activations."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from validators.base_models.base_model import BaseModel
from validators.base_models.spliced_pass import SplicedPass
from validators.evidence.activations import Vectors
from validators.evidence.evidence import OUTLIER_NORM, TokenContext
from validators.evidence.place_reader import PlaceReader
from validators.metrics.undefined import UndefinedMetric
from validators.places.place import Place

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import DynamicCache

# All log-probabilities of the unchanged model are kept while the SAEs are measured.
MAX_LOGPROB_BYTES = 400_000_000
MAX_TOKENS = 256
# Below this the ablation hardly matters, and a share of it would be noise divided by noise.
MIN_ABLATION_NATS = 0.01


@dataclass(frozen=True)
class ModelLoss:
    """Sums over n judged tokens, in nats.

    `ce_*` are cross-entropies of the true next token, `kl_*` the Kullback-Leibler divergence of
    the changed model's prediction from the unchanged one's: with the SAE's reconstruction, with
    zero, and with the place's mean at every spliced position.
    """

    n_tokens: int
    ce_clean: float
    ce_sae: float
    ce_zero: float
    ce_mean: float
    kl_sae: float
    kl_zero: float

    def ce_recovered(self) -> float:
        """`(CE_zero - CE_sae) / (CE_zero - CE_clean)`, no unit; 1 is no loss, 0 is zero ablation.

        Raises:
            UndefinedMetric: see `_share`.
        """
        return self._share(self.ce_zero, self.ce_sae, self.ce_clean, "zero ablation")

    def ce_recovered_mean(self) -> float:
        """The same against mean ablation.

        Raises:
            UndefinedMetric: see `_share`.
        """
        return self._share(self.ce_mean, self.ce_sae, self.ce_clean, "mean ablation")

    def ce_increase(self) -> float:
        """`CE_sae - CE_clean` in nats per token.

        Raises:
            UndefinedMetric: there are no tokens, or the loss is not finite.
        """
        return self._checked((self.ce_sae - self.ce_clean) / self._n())

    def kl(self) -> float:
        """KL divergence with the SAE spliced in, in nats per token.

        Raises:
            UndefinedMetric: there are no tokens, or it is not finite.
        """
        return self._checked(self.kl_sae / self._n())

    def kl_recovered(self) -> float:
        """`(KL_zero - KL_sae) / KL_zero`, no unit.

        Raises:
            UndefinedMetric: see `_share`.
        """
        return self._share(self.kl_zero, self.kl_sae, 0.0, "zero ablation")

    def _share(self, ablated: float, with_sae: float, clean: float, name: str) -> float:
        """`(ablated - with_sae) / (ablated - clean)`.

        Raises:
            UndefinedMetric: there are no tokens, something is not finite, or the ablation raises
                the loss by less than `MIN_ABLATION_NATS` a token.
        """
        caused = self._checked((ablated - clean) / self._n())
        if caused < MIN_ABLATION_NATS:
            raise UndefinedMetric(
                f"{name} raises the loss by {caused:.3g} nats per token only, so that a share of "
                "it says nothing"
            )
        return self._checked((ablated - with_sae) / (ablated - clean))

    def _n(self) -> int:
        if self.n_tokens == 0:
            raise UndefinedMetric("there are no tokens to predict")
        return self.n_tokens

    @staticmethod
    def _checked(value: float) -> float:
        if value != value or value in (float("inf"), float("-inf")):
            raise UndefinedMetric("the base model's loss is not finite")
        return value


@dataclass(frozen=True)
class _Ablated:
    """Sums over the judged tokens of one place that do not depend on an SAE."""

    zero: tuple[float, float]
    mean: tuple[float, float]


class ModelLossMeter:
    """Runs a base model with parts of its activations replaced, over the same tokens each time.

    Spliced are the positions from `n_prefix` on, except those of outlying norm: a first token
    whose norm is a hundred times the others' carries attention, and no SAE is trained on it.
    Judged are the predictions made at these positions.
    """

    def __init__(self, base: BaseModel, contexts: Sequence[TokenContext]) -> None:
        self._base = base
        vocab_size = int(base.model.config.get_text_config().vocab_size)
        self._contexts = _as_many_as_fit(contexts, vocab_size)
        self._in_tuples: set[Place] = set()
        self._clean: list[Tensor] | None = None
        self._prefixes: dict[tuple[int, ...], DynamicCache] = {}
        self._states: dict[Place, list[Tensor]] = {}
        self._ablated: dict[Place, _Ablated] = {}

    @property
    def n_tokens(self) -> int:
        """Judged tokens."""
        return sum(_n_judged(context) for context in self._contexts)

    def measure(self, place: Place, reconstruct: Callable[[Vectors], Vectors]) -> ModelLoss:
        """Splice a reconstruction in.

        Args:
            place: the place whose activations are replaced.
            reconstruct: [positions, d_in] activations to what takes their place.

        Raises:
            UndefinedMetric: there are no tokens, the replaced activations are never used, or a
                loss is not finite, as where activations overflow.
        """
        import torch

        if not self._contexts or self.n_tokens == 0:
            raise UndefinedMetric("there are no tokens to predict")
        if not math.isfinite(self._sums_clean()):
            raise UndefinedMetric("the base model's own loss is not finite")
        self._read(place)

        def by_sae(x: Tensor) -> Tensor:
            return torch.from_numpy(reconstruct(x.cpu().numpy())).to(x)

        ablated = self._ablated_at(place)
        ce_sae, kl_sae = self._sums(place, by_sae)
        if not math.isfinite(ce_sae + kl_sae):
            raise UndefinedMetric("the base model's loss with the SAE in it is not finite")
        return ModelLoss(
            n_tokens=self.n_tokens,
            ce_clean=self._sums_clean(),
            ce_sae=ce_sae,
            ce_zero=ablated.zero[0],
            ce_mean=ablated.mean[0],
            kl_sae=kl_sae,
            kl_zero=ablated.zero[1],
        )

    def _read(self, place: Place) -> None:
        """Activations of the place after each context's prefix, [positions, width]."""
        if place in self._states:
            return
        states = []
        # Before the hooks are there: the prefixes run through the same model.
        caches = [self._prefix_cache(context) for context in self._contexts]
        with PlaceReader(self._base, [place]) as reader:
            for context, cache in zip(self._contexts, caches, strict=True):
                reader.run([_judged_part(context)], cache=cache)
                if place not in reader.outputs:
                    raise UndefinedMetric(f"{place} is not run")
                states.append(reader.outputs[place][0].float())
            self._in_tuples |= reader.in_tuples
        self._states[place] = states

    def _prefix_cache(self, context: TokenContext) -> DynamicCache:
        """Keys and values of the prefix, which no splicing changes; a copy that may be extended."""
        import torch
        from transformers import DynamicCache

        prefix = context.input_ids[: context.n_prefix]
        if prefix not in self._prefixes:
            cache = DynamicCache()
            ids = torch.tensor([prefix], device=self._base.model.device)
            with torch.inference_mode():
                self._base.model(input_ids=ids, past_key_values=cache, use_cache=True)
            self._prefixes[prefix] = cache
        return copy.deepcopy(self._prefixes[prefix])

    def _ablated_at(self, place: Place) -> _Ablated:
        import torch

        if place not in self._ablated:
            spliced = [state[_spliced(state)] for state in self._states[place]]
            mean = torch.cat(spliced).mean(dim=0)
            self._ablated[place] = _Ablated(
                zero=self._sums(place, lambda x: x * 0.0),
                mean=self._sums(place, lambda x: mean.expand_as(x)),
            )
        return self._ablated[place]

    def _sums_clean(self) -> float:
        return sum(
            _cross_entropy(logprobs, context)
            for logprobs, context in zip(self._clean_logprobs(), self._contexts, strict=True)
        )

    def _sums(self, place: Place, replace: Callable[[Tensor], Tensor]) -> tuple[float, float]:
        """Cross-entropy and KL divergence, summed over the judged tokens."""
        ce = kl = 0.0
        clean = self._clean_logprobs()
        skips = place not in self._in_tuples
        for number, context in enumerate(self._contexts):
            state = self._states[place][number].clone()
            chosen = _spliced(state)
            state[chosen] = replace(state[chosen])
            cache = self._prefix_cache(context)
            with SplicedPass(self._base, place, skips_blocks=skips) as spliced:
                logits = spliced.logits(_judged_part(context), state, cache=cache)
            logprobs = _logprobs(logits)
            ce += _cross_entropy(logprobs, context)
            kl += float((clean[number].exp() * (clean[number] - logprobs)).sum().double())
        return ce, kl

    def _clean_logprobs(self) -> list[Tensor]:
        """Log-probabilities of the unchanged model at the judged positions of each context."""
        import torch

        if self._clean is None:
            clean = []
            for context in self._contexts:
                ids = torch.tensor([_judged_part(context)], device=self._base.model.device)
                cache = self._prefix_cache(context)
                with torch.inference_mode():
                    output = self._base.model(input_ids=ids, past_key_values=cache, use_cache=True)
                clean.append(_logprobs(output.logits[0]))
            self._clean = clean
        return self._clean


def _judged_part(context: TokenContext) -> list[int]:
    return list(context.input_ids[context.n_prefix :])


def _n_judged(context: TokenContext) -> int:
    return max(0, len(context.input_ids) - 1 - context.n_prefix)


def _as_many_as_fit(contexts: Sequence[TokenContext], vocab_size: int) -> list[TokenContext]:
    budget = min(MAX_TOKENS, MAX_LOGPROB_BYTES // (4 * vocab_size))
    chosen: list[TokenContext] = []
    n_tokens = 0
    for context in contexts:
        if _n_judged(context) == 0:
            continue
        if chosen and n_tokens + _n_judged(context) > budget:
            break
        chosen.append(context)
        n_tokens += _n_judged(context)
    return chosen


def _spliced(state: Tensor) -> Tensor:
    """[positions] whether the activation is replaced."""
    norms = state.norm(dim=-1)
    chosen: Tensor = norms <= OUTLIER_NORM * norms.median()
    return chosen


def _logprobs(logits: Tensor) -> Tensor:
    """[judged, vocabulary] at the positions whose next token is known."""
    return logits[:-1].float().log_softmax(dim=-1)


def _cross_entropy(logprobs: Tensor, context: TokenContext) -> float:
    import torch

    targets = torch.tensor(context.input_ids[context.n_prefix + 1 :], device=logprobs.device)
    return -float(logprobs.gather(1, targets[:, None]).double().sum())
