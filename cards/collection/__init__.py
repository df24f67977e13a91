"""The card of a study: its repositories, counted, and what is known of each."""
