"""The checks, one module for each family; `validators.registry` collects them.

The first digit of a code tells the tier: 0 static, 1 load, 2 activations.
"""
