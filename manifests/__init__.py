"""What a release claims: one YAML file per Hub repository, and the frozen models that read it.

Nothing here imports torch; every other package builds on this one.
"""
