"""Activations to train on: what is read, in which passes, and the shards that they are kept in."""
