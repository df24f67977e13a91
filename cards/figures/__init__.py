"""The card's figures: what each shows, how it is drawn, and when it must be drawn again.

What a figure shows is decided from the report alone, so the card links to the same figures on every
machine. Only drawing one needs matplotlib.
"""
