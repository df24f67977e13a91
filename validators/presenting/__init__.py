"""A report for people and for machines: text, JUnit, SARIF, GitHub, Markdown."""
