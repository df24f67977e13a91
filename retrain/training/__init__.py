"""From vectors to trained SAEs: order of the batches, optimiser, steps, checkpoints."""
