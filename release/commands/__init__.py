"""The verbs, one module each; each imports what it needs when it is called."""

from __future__ import annotations

import typer

from release.commands import (
    affected,
    convert,
    doctor,
    explain,
    fetch,
    hub,
    import_,
    measure,
    plan,
    portability,
    push,
    registry,
    render,
    report,
    retrain,
    rollback,
    run,
    sample,
    schema,
    show,
    status,
    validate,
    verify,
)
from release.help_text import help_text


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
        ("fetch", fetch.fetch, "What is staged or published, into the build folder."),
        ("plan", plan.plan, "What a push would change on the Hub."),
        ("push", push.push, "One commit to the Hub, read back."),
        ("rollback", rollback.rollback, "A former state again, in one commit."),
        ("status", status.status, "Every manifest against the Hub."),
        ("report", report.report, "Pages that show releases to people."),
        ("verify", verify.verify, "A release against its provenance and signature."),
        ("registry", registry.registry, "The entry for SAELens' registry and Neuronpedia."),
        ("import", import_.import_repository, "A manifest from an existing repository."),
        ("show", show.show, "What a manifest resolves to."),
        ("affected", affected.affected, "Which manifests a change concerns, for CI."),
        ("convert", convert.convert, "A saved report in another form."),
        ("explain", explain.explain, "One check's page."),
        ("schema", schema.schema, "The JSON Schema of manifests."),
        ("doctor", doctor.doctor, "What is installed, what is missing, how to mend it."),
    ):
        app.command(verb, short_help=summary, help=help_text(command))(command)
    app.add_typer(hub.app, name="hub", short_help="The embedded Hub.")
