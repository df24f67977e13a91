"""The report page: a folder of static pages that shows releases to people.

Sources are read (`sources`, `hub_state`), turned into what a page says (`rows`, `findings`,
`figures`, `origins`, `page`), and written as HTML (`rendering`, `site`). What sorts, filters and
plots in the reader's browser is in `assets/`, what stands where in `templates/`.
"""
