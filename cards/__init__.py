"""Manifest, report and training record -> README.md, root index, card.json.

Nothing here imports torch. Every number on a card comes from one of those three files; without a
report or a training record the card says so. A number that is missing in a report stops the card,
it is never printed as nothing.
"""
