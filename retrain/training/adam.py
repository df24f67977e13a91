"""Adam (Kingma and Ba 2015, arXiv:1412.6980) with a decoder of unit rows, by blocks of rows.

Both dictionaries and their moments are far larger than a processor's caches. A block's gradient is
therefore made, used and forgotten before the next block's is; what is done to its rows meanwhile
costs no further trip to the memory. A GPU takes all rows as one block.

In the first steps gradients can be a hundred times as large as later. Adam divides by a running
mean of their squares, so they keep the steps small for as long as that mean remembers them: with
the usual 0.999 for a thousand steps, which is more than many a training has. A limit of the
gradient's norm (Pascanu et al. 2013, arXiv:1211.5063), for each SAE over all its parameters,
prevents that.

The part of a decoder row's gradient that points along the row only changes its length, which is set
to 1 again after the step; left in, it would feed the moments.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.adam import adam

from retrain.architectures.gradients import Accumulated, RowGradients, per_sae
from retrain.architectures.sae import Sae

DICTIONARIES = ("W_dec", "W_enc")
BETA1, EPSILON = 0.9, 1e-8
BLOCK_BYTES = 8 * 1024 * 1024


class RowAdam:
    """Adam's state for SAEs that are trained side by side."""

    def __init__(
        self, sae: Sae, *, beta2: float = 0.999, max_gradient_norm: float | None = None
    ) -> None:
        """Begin with moments of 0.

        Args:
            sae: what is trained, in place.
            beta2: how much of the mean of the squares one step leaves.
            max_gradient_norm: of each SAE; None leaves it as it is.
        """
        self.sae = sae
        self.beta2 = beta2
        self.max_gradient_norm = max_gradient_norm
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
        # Where a block is all there is, gradients whose norm has to be looked at are made once.
        is_whole = self.block_rows == sae.d_sae and max_gradient_norm is not None
        self._second_scratch = torch.empty_like(self._scratch) if is_whole else None
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
        if self.max_gradient_norm is not None:
            rows, radial, small = self._limited(rows, radial, small, self.max_gradient_norm)
        for block, (first, last) in enumerate(self._blocks()):
            scratch = self._scratch[:, : last - first]
            W_dec = self.sae.W_dec[:, first:last]
            gradient = rows.decoder(first, last, scratch)
            gradient.addcmul_(radial[:, first:last].unsqueeze(2), W_dec, value=-1)
            self._update("W_dec", block, slice(first, last), gradient)
            renormalise(W_dec)
            self._update("W_enc", block, slice(first, last), rows.encoder(first, last, scratch))
        for name, gradient in small.items():
            self._update(name, 0, slice(None), gradient)

    def _blocks(self) -> list[tuple[int, int]]:
        """First row and end of each block."""
        d_sae = self.sae.d_sae
        starts = range(0, d_sae, self.block_rows)
        return [(first, min(first + self.block_rows, d_sae)) for first in starts]

    def _limited(
        self, rows: RowGradients, radial: Tensor, small: dict[str, Tensor], most: float
    ) -> tuple[RowGradients, Tensor, dict[str, Tensor]]:
        """The same gradients, each SAE's times what brings its norm to `most` if it is larger."""
        squared_norm = rows.squared_norm()
        if squared_norm is None and self._second_scratch is not None:
            d_sae = self.sae.d_sae
            rows = Accumulated(
                rows.decoder(0, d_sae, self._scratch),
                rows.encoder(0, d_sae, self._second_scratch),
            )
            squared_norm = rows.squared_norm()
        if squared_norm is None:
            squared_norm = self._squared_norm_by_blocks(rows)
        # The radial part is taken off before the step.
        squared_norm = squared_norm - per_sae(radial)
        for gradient in small.values():
            squared_norm = squared_norm + per_sae(gradient)
        norm = squared_norm.clamp(min=0).sqrt()
        factors = (most / (norm + 1e-6)).clamp(max=1)
        # Asking a GPU would wait for it, and a recorded graph cannot branch.
        if not factors.is_cuda and bool((factors == 1).all()):
            return rows, radial, small
        scaled = {name: gradient * factors.unsqueeze(1) for name, gradient in small.items()}
        return rows.scaled(factors), radial * factors.unsqueeze(1), scaled

    def _squared_norm_by_blocks(self, rows: RowGradients) -> Tensor:
        """Of gradients that are made once more afterwards."""
        total = self.sae.b_dec.new_zeros(len(self.sae.b_dec))
        for first, last in self._blocks():
            scratch = self._scratch[:, : last - first]
            total = total + per_sae(rows.decoder(first, last, scratch))
            total = total + per_sae(rows.encoder(first, last, scratch))
        return total

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
            beta2=self.beta2,
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
