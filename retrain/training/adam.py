"""Adam (Kingma and Ba 2015, arXiv:1412.6980) with a decoder of unit rows, by blocks of rows.

Both dictionaries and their moments are far larger than a processor's caches. A block's gradient is
therefore made, used and forgotten before the next block's is; what is done to its rows meanwhile
costs no further trip to the memory. A GPU takes all rows as one block.

The part of a decoder row's gradient that points along the row only changes its length, which is set
to 1 again after the step; left in, it would feed the moments.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.adam import adam

from retrain.architectures.gradients import RowGradients
from retrain.architectures.sae import Sae

DICTIONARIES = ("W_dec", "W_enc")
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
BLOCK_BYTES = 8 * 1024 * 1024


class RowAdam:
    """Adam's state for SAEs that are trained side by side."""

    def __init__(self, sae: Sae) -> None:
        self.sae = sae
        self.block_rows = rows_per_block(sae.W_dec)
        n_blocks = -(-sae.d_sae // self.block_rows)
        self._moments = {
            name: (torch.zeros_like(parameter), torch.zeros_like(parameter))
            for name, parameter in self._parameters().items()
        }
        # Steps are counted for each piece that is updated at a time.
        self._steps = {
            name: [parameter.new_zeros(()) for _ in range(n_blocks if name in DICTIONARIES else 1)]
            for name, parameter in self._parameters().items()
        }
        self._scratch = torch.empty_like(sae.W_dec[:, : self.block_rows])
        # A recorded graph reads the present value of a tensor; fused Adam on a CPU wants a number.
        self._rate: Tensor | float = sae.b_dec.new_zeros(()) if sae.b_dec.is_cuda else 0.0

    def _parameters(self) -> dict[str, Tensor]:
        return {"W_dec": self.sae.W_dec, "W_enc": self.sae.W_enc, **self.sae.small}

    @property
    def scratch(self) -> Tensor:
        """Space for the gradient of a block of rows, [saes, block_rows, d_in]."""
        return self._scratch

    def set_learning_rate(self, rate: float) -> None:
        """The learning rate of the steps from now on."""
        if isinstance(self._rate, Tensor):
            self._rate.fill_(rate)
        else:
            self._rate = rate

    def step(self, rows: RowGradients, radial: Tensor, small: dict[str, Tensor]) -> None:
        """Update every parameter in place.

        Args:
            rows: gradients of the dictionaries.
            radial: [saes, d_sae], the part of each decoder row's gradient along the row.
            small: gradients of the other parameters, by name.
        """
        for block, first in enumerate(range(0, self.sae.d_sae, self.block_rows)):
            last = min(first + self.block_rows, self.sae.d_sae)
            scratch = self._scratch[:, : last - first]
            W_dec = self.sae.W_dec[:, first:last]
            gradient = rows.decoder(first, last, scratch)
            gradient.addcmul_(radial[:, first:last].unsqueeze(2), W_dec, value=-1)
            self._update("W_dec", block, slice(first, last), gradient)
            renormalise(W_dec)
            self._update("W_enc", block, slice(first, last), rows.encoder(first, last, scratch))
        for name, gradient in small.items():
            self._update(name, 0, slice(None), gradient)

    def _update(self, name: str, block: int, rows: slice, gradient: Tensor) -> None:
        first_moment, second_moment = self._moments[name]
        adam(
            [self._parameters()[name][:, rows]],
            [gradient],
            [first_moment[:, rows]],
            [second_moment[:, rows]],
            [],
            [self._steps[name][block]],
            fused=True,
            amsgrad=False,
            beta1=BETA1,
            beta2=BETA2,
            lr=self._rate,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """Moments and step counts by name; the tensors themselves, not copies."""
        state = {}
        for name, (first, second) in self._moments.items():
            state[f"{name}.first_moment"], state[f"{name}.second_moment"] = first, second
            for block, count in enumerate(self._steps[name]):
                state[f"{name}.steps.{block}"] = count
        return state


def rows_per_block(dictionary: Tensor) -> int:
    """Rows of [saes, d_sae, d_in] that are updated at a time: on a GPU all, else `BLOCK_BYTES`."""
    _, d_sae, d_in = dictionary.shape
    if dictionary.is_cuda or len(dictionary) > 1:
        return d_sae
    return max(1, min(d_sae, BLOCK_BYTES // (4 * d_in)))


def renormalise(rows: Tensor) -> None:
    """Scale each row of [..., d_in] to length 1, in place."""
    rows.div_(torch.linalg.vector_norm(rows, dim=-1, keepdim=True))
