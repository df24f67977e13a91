"""The fixed settings of metrics, apart from their formulas: a card prints them without NumPy."""

from __future__ import annotations

PCA_RANK = 8
# A threshold has moved when it differs from its start by more than this share of it.
MOVED_BY = 0.1
# Cohen's d from which an effect counts as large here.
LARGE_D = 1.0
# A latent that is active on more than this percentage of the vectors is dense.
DENSE_PERCENT = 10
# Explained variance grows with L0, so beyond this the two are not at equal sparsity.
L0_TOLERANCE = 0.1
