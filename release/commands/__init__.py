"""The verbs, one module each; each imports what it needs when it is called."""

from __future__ import annotations

import typer

from release.commands import (
    explain,
    hub,
    import_,
    measure,
    portability,
    push,
    render,
    retrain,
    run,
    sample,
    schema,
    show,
    validate,
)


def register(app: typer.Typer) -> None:
    """Add every verb to the application, in the order of the pipeline."""
    for verb, command, summary in (
        ("run", run.run, "The whole pipeline for a manifest."),
        ("validate", validate.validate, "Check a repository: is it what it claims to be?"),
        ("sample", sample.sample, "Labelled completions for a manifest's scenarios."),
        ("retrain", retrain.retrain, "Weights from the manifest."),
        ("measure", measure.measure, "Every table of the card, computed into the report."),
        (
            "portability",
            portability.portability,
            "One release under several precisions of its base model.",
        ),
        ("render", render.render, "The card, from manifest and report."),
        ("push", push.push, "One commit to the Hub, read back."),
        ("import", import_.import_repository, "A manifest from an existing repository."),
        ("show", show.show, "What a manifest resolves to."),
        ("explain", explain.explain, "One check's page."),
        ("schema", schema.schema, "The JSON Schema of manifests."),
    ):
        app.command(verb, short_help=summary)(command)
    app.add_typer(hub.app, name="hub", short_help="The embedded Hub.")
