"""F: which files are there, and whether they are the ones that were made."""

from __future__ import annotations

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from manifests.data import Data
from validators.check import Passed, Problem, Skipped, Verdict, repository_check, sae_check
from validators.foreign.beside_saelens import foreign_in, saelens_folders
from validators.foreign.formats import FORMATS
from validators.foreign.listing import is_pickle
from validators.foreign.pickles import TRAINING_STATES
from validators.foreign.recognise import recognise
from validators.presenting.printable import name_of
from validators.reading.repository import Repository
from validators.subjects import TRAINING_RECORD, RepositorySubject, SaeSubject
from validators.training_record import Substitution


@repository_check("F001", "the repository holds at least one SAE", tier="static")
def holds_an_sae(subject: RepositorySubject) -> Verdict:
    """A repository in which nothing is found must not count as one in which all is well.

    An SAE is a folder with `cfg.json` or `sae_weights.safetensors`, the two names that SAELens
    reads.

    Example: the weights were uploaded as `layer_12/weights.pt`; nothing here is an SAE folder.

    To mend it: save each SAE with SAELens' `save_model`, one folder for each, and check the
    folder or repository that holds those folders.
    """
    repository = subject.repository
    own = saelens_folders(repository, subject.sae_folders)
    if own:
        return Passed(f"{len(own)} folder{'s' * (len(own) > 1)}")
    if recognise(repository):
        return Skipped("the SAEs here are of another project", "see F010, which names it")
    return Problem(
        f"none of {len(repository.files)} files is {SAE_CONFIG} or {SAE_WEIGHTS}"
        + _weights_of_other_names(repository),
        "a folder for each SAE with both files, as SAELens reads them",
        "check that this is the repository you mean, or save the SAEs with SAELens",
    )


@sae_check("F002", "the SAE that the manifest names is there", tier="static", needs_manifest=True)
def named_sae_is_there(sae: SaeSubject) -> Verdict:
    """A card counts its SAEs from the manifest, so one that is missing makes the card wrong.

    Example: the manifest's matrix gives 57 SAEs; 54 folders were uploaded.

    To mend it: make the missing SAE with `release retrain MANIFEST --only ID`, or take it out of
    the matrix with `saes.exclude`.
    """
    if sae.sae_id in sae.parent.sae_folders:
        return Passed()
    return Problem(
        "there is no such folder, or it holds neither config nor weights",
        f"one folder for each of the {len(sae.claim.saes)} SAEs of {sae.claim.source}",
        "release retrain MANIFEST --only ID, or saes.exclude in the manifest",
    )


@sae_check("F003", "the SAE is one that the manifest names", tier="static", needs_manifest=True)
def sae_is_named(sae: SaeSubject) -> Verdict:
    """A folder that the manifest does not name is published without a word about it.

    Mostly it is left over from an older version of the release.

    Example: `model_topk_L8_mixed` was renamed to `model_topk_L08_mixed`; both are there.

    To mend it: delete the folder, or add it to the matrix with `saes.include`.
    """
    if sae.spec is not None:
        return Passed()
    return Problem(
        "the folder holds an SAE that the manifest does not name",
        f"only the {len(sae.claim.saes)} SAEs of {sae.claim.source}",
        "delete the folder, or name it by saes.include in the manifest",
    )


@sae_check("F004", "config and weights are both there", tier="static", requires=("F002",))
def both_files_are_there(sae: SaeSubject) -> Verdict:
    """SAELens opens `cfg.json` and `sae_weights.safetensors` of a folder, under these names only.

    Example: the folder holds `cfg.json` and `sae.safetensors`; loading ends in an error 404.

    To mend it: save the SAE again, or rename the file.
    """
    repository = sae.parent.repository
    missing = [f for f in (SAE_CONFIG, SAE_WEIGHTS) if sae.path_of(f) not in repository.files]
    if not missing:
        return Passed()
    foreign = foreign_in(repository, sae.sae_id)
    if foreign is not None and sae.spec is None:
        title = FORMATS[foreign.format].title
        return Skipped(f"an SAE of another project ({title})", "see F010", required=False)
    there = [path for path in repository.files if (path.rpartition("/")[0] or ".") == sae.sae_id]
    beside = ", ".join(path.rpartition("/")[2] for path in there[:4])
    return Problem(
        f"{' and '.join(missing)} not there" + (f" (there: {beside})" if beside else ""),
        f"{SAE_CONFIG} and {SAE_WEIGHTS}, the names that SAELens reads",
        "save the SAE again, or rename the files if they are SAELens' own",
    )


@sae_check(
    "F005", "the weights file is whole and its header sound", tier="static", requires=("F004",)
)
def weights_file_is_whole(sae: SaeSubject) -> Verdict:
    """A file that was cut while it was copied has a good header and too few bytes.

    Checked from the header alone, without reading the tensors: the JSON, known dtypes, offsets
    that fill the file exactly, no overlap.

    Example: a Git LFS pointer of 134 bytes was uploaded in place of the weights.

    To mend it: copy or download the file again, or write it again with safetensors.
    """
    return Passed(f"{len(sae.header.tensors)} tensors")


@repository_check("F006", "weights are not pickled", tier="static")
def weights_are_not_pickled(subject: RepositorySubject) -> Verdict:
    """Opening a pickle runs whatever code is in it, so a user cannot open one of a stranger.

    Example: `layer_12/ae.pt` beside, or in place of, `sae_weights.safetensors`.

    To mend it: write the tensors with `safetensors.torch.save_file` and delete the pickle.
    """
    pickles = [path for path in subject.repository.files if is_pickle(path)]
    if not pickles:
        return Passed()
    if all(path.rpartition("/")[2] in TRAINING_STATES for path in pickles):
        return Problem(
            f"pickled states of a training run: {_listed(pickles)}",
            "only what a user of the SAEs needs",
            "delete them; SAELens does not upload them either",
            severity="warn",
        )
    return Problem(
        f"pickled: {_listed(pickles)}",
        "weights as safetensors",
        "`release validate TARGET --fix` writes safetensors; then delete these",
    )


@sae_check("F012", "no other SAE has the same weights", tier="static", requires=("F004",))
def weights_differ(sae: SaeSubject) -> Verdict:
    """Two names for one file of weights: one of the SAEs was never released.

    Training never gives the same bytes twice under two recipes, so somewhere a folder was copied or
    a loop saved the wrong variable. Compared by SHA-256, of files of one size; where a Hub states
    none, the file is left out. Of an SAE that no manifest names it is a warning.

    Example: the folders of the conditions `mixed` and `deceptive_only` hold the same file.

    To mend it: save the SAE that the name promises, or take the folder out.
    """
    own = sae.path_of(SAE_WEIGHTS)
    same = next((paths for paths in sae.parent.repeated_weights if own in paths), ())
    others = [path for path in same if path != own]
    if not others:
        return Passed()
    return Problem(
        f"the same bytes are in {_listed(others)}",
        "weights of its own for each SAE",
        "save the SAE that the name promises, or take the folder out",
        None if sae.spec else "warn",
    )


@repository_check("F007", "no file lies outside the repository", tier="static")
def nothing_lies_outside(subject: RepositorySubject) -> Verdict:
    """A link that leads out of the folder would publish a file that nobody meant to publish.

    Links to folders are not followed either, wherever they lead.

    Example: `weights -> /home/me/checkpoints/run7`.

    To mend it: copy the files into the folder in place of the link.
    """
    if not subject.repository.refused:
        return Passed()
    return Problem(
        f"leads out of the repository: {_listed(list(subject.repository.refused))}",
        "plain files and folders inside the repository",
        "copy the files into the folder in place of the links",
    )


@repository_check(
    "F008", "training.json can be read and is of this manifest", tier="static", needs_manifest=True
)
def training_record_fits(subject: RepositorySubject) -> Verdict:
    """Without the training record nobody can tell what the weights were made from.

    It must name the base model, its precision, the data and the pooling that the manifest names,
    and nothing that `--base-model` or `--data` put in their place: such weights may be of use to
    whoever trained them, but they are not the ones that the manifest describes. Where the manifest
    names a repository that the weights came from (`weights`), there may be no record.

    Example: the completions were sampled anew, and the weights are those of the old ones. Or: the
    recipe was tried with `--data` on completions of one's own, and the result is to be pushed.

    To mend it: `release retrain MANIFEST` without these two options; SAEs whose inputs have not
    changed are kept. Or state the base model and the data that were used in a manifest of their
    own. A local copy of the base model passes for it when its folder is named as the model is.
    """
    claim = subject.claim
    assert claim is not None
    if claim.manifest.weights is not None and TRAINING_RECORD not in subject.repository.files:
        return Skipped(
            f"the weights came from {name_of(claim.manifest.weights.repo_id)}, and nobody "
            f"recorded how they were made",
            required=False,
        )
    record, manifest = subject.training, claim.manifest
    if record.substituted is not None:
        return _made_from_something_else(record.substituted)
    stated = {
        "base_model.id": (record.base_model.id, manifest.base_model.id),
        "base_model.precision": (record.base_model.precision, manifest.base_model.precision),
        "data.sha256": (record.data.sha256, manifest.data.sha256),
        "data.dataset": (record.data.dataset, _dataset_read(manifest.data)),
        "data.pooling": (record.data.pooling, manifest.data.pooling),
    }
    wrong = {key: pair for key, pair in stated.items() if pair[0] != pair[1]}
    if not wrong:
        return Passed()
    return Problem(
        f"{TRAINING_RECORD} has " + "; ".join(f"{k} {found}" for k, (found, _) in wrong.items()),
        "; ".join(f"{k} {wanted}" for k, (_, wanted) in wrong.items()) + f" ({claim.source})",
        "release retrain MANIFEST",
    )


def _dataset_read(data: Data) -> str | None:
    """The Hub data set; None where a file is read in its place."""
    return data.dataset.name if data.file is None and data.dataset is not None else None


def _made_from_something_else(substituted: Substitution) -> Problem:
    parts = {"base model": substituted.base_model, "data": substituted.data}
    replaced = {name: part for name, part in parts.items() if part is not None}
    options = {"base model": "--base-model", "data": "--data"}
    return Problem(
        "the weights were made from something else than the manifest names: "
        + "; ".join(
            f"{name} {name_of(part.used)} (digest {name_of(part.digest[:12])}) in place of "
            f"{name_of(part.stated or 'none')}"
            for name, part in replaced.items()
        ),
        f"training without {' and '.join(options[name] for name in replaced)}",
        "release retrain MANIFEST, or state what was used in a manifest of its own",
    )


@sae_check(
    "F009",
    "the files are the ones that training wrote",
    tier="static",
    requires=("F003", "F004", "F008"),
    needs_manifest=True,
)
def files_are_those_trained(sae: SaeSubject) -> Verdict:
    """Weights or configs that were edited after training are not what the record describes.

    Example: `k` was changed by hand in one cfg.json.

    To mend it: make the change in the manifest and run `release retrain MANIFEST`, or restore
    the file.
    """
    trained = sae.parent.training.saes.get(sae.sae_id)
    if trained is None:
        return Problem(
            f"{TRAINING_RECORD} does not name this SAE",
            "a record of how each SAE was made",
            "release retrain MANIFEST --only ID",
        )
    repository = sae.parent.repository
    unhashed = [f for f in trained.files if not repository.sha256_is_cheap(sae.path_of(f))]
    if unhashed:
        return Skipped(f"{_listed(unhashed)}: the Hub states no SHA-256")
    changed = [
        file
        for file, digest in sorted(trained.files.items())
        if repository.sha256(sae.path_of(file)) != digest
    ]
    if not changed:
        return Passed(f"{len(trained.files)} files")
    return Problem(
        f"{_listed(changed)}: other bytes than {TRAINING_RECORD} recorded",
        "the files as training wrote them",
        "restore them, or change the manifest and run `release retrain MANIFEST`",
    )


def _weights_of_other_names(repository: Repository) -> str:
    weights = [p for p in repository.files if is_pickle(p) or p.endswith((".npz", ".safetensors"))]
    return f"; weights of other names: {_listed(weights)}" if weights else ""


def _listed(paths: list[str], *, most: int = 5) -> str:
    rest = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(name_of(path) for path in paths[:most]) + rest
