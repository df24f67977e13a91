"""The stage `measure`: the tables of a study's card, computed from activations and SAEs."""
