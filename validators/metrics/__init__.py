"""The metrics of docs/terms.md, in numpy and float64, kept as sums and counts until the end."""
