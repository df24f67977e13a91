"""Manifest, report and training record -> README.md, root index, card.json.

Nothing here imports torch. Every number on a card comes from one of those three files; a number
that is missing stops the card, it is never printed as nothing.
"""
