"""Is a repository what its provenance says? Bytes, documents, signature; what was not looked at.

The statement is not signed: it shows that the parts of a release agree, and not who wrote them. A
signature of a known key or workflow shows who made the weights and configurations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

from manifests.errors import MissingExtra, ReleaseError
from manifests.matrix import SaeSpec
from manifests.progress import Progress
from release.provenance import agreement
from release.provenance.claims import Statement, read_statement
from release.provenance.digests import Digests
from release.provenance.model_signature import (
    SIGNATURE,
    BadSignature,
    ExpectedIdentity,
    PublicKey,
    covered_paths,
    is_keyless,
    signed_paths,
    verify_signature,
)
from release.provenance.statement import PROVENANCE
from release.published_files import REPORT, TRAINING, published_report, published_training
from validators.claim import PUBLISHED_MANIFEST, Claim, published_claim
from validators.presenting.printable import name_of
from validators.reading.repository import HubUnavailable, Repository, UnreadableFile

ROOT_INDEX = "config.json"
# Of the repository itself; the Hub writes it.
GIT_ATTRIBUTES = ".gitattributes"

State = Literal["verified", "failed", "not checked", "absent"]
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Finding:
    """One part of a release.

    Attributes:
        part: what was asked about.
        state: `absent` is what a release need not have; `not checked` what one should have.
        text: by which means, or why not.
        problems: what does not agree, for a part that failed.
    """

    part: str
    state: State
    text: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verification:
    """All parts, in the order in which they rest on each other.

    Attributes:
        location: the folder, or `owner/name@oid`.
        statement: what the release says of itself; None where that cannot be read.
        findings: one for each part.
        uncovered: files of the repository that the statement does not name.
    """

    location: str
    statement: Statement | None
    findings: tuple[Finding, ...]
    uncovered: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 all that there is holds; 1 something does not; 3 something was not checked."""
        states = {finding.state for finding in self.findings}
        return 1 if "failed" in states else 3 if "not checked" in states else 0


def verify(
    repository: Repository,
    digests: Digests,
    *,
    hub_name: str | None,
    signed_by: PublicKey | ExpectedIdentity | None,
    progress: Progress,
) -> Verification:
    """Verify a release from its own files and, where one is given, a key or identity.

    Args:
        repository: the files.
        digests: of these files.
        hub_name: `owner/name` under which a Hub serves them; None of a folder.
        signed_by: whose signature there must be; None where nobody said.
        progress: told how far it is.

    Raises:
        HubUnavailable: the Hub does not answer.
        UsageError: the key cannot be read.
        SigstoreUnavailable: Sigstore's trust root cannot be fetched.
    """
    statement, read = _attempt("statement", lambda: read_statement(repository))
    findings = [*read]
    if not read and statement is None:
        findings.append(Finding("statement", "not checked", f"there is no {PROVENANCE}"))
    if statement is not None:
        findings.append(_of_this_repository(statement, hub_name))
        findings.append(_bytes(statement, repository, digests, progress))
        findings += _documents(statement, repository)
    findings.append(_signature(repository, digests, statement, signed_by))
    stated = set(statement.files) if statement else set()
    beside = {PROVENANCE, GIT_ATTRIBUTES}
    uncovered = sorted({*repository.files, *repository.refused} - stated - beside)
    return Verification(repository.location, statement, tuple(findings), tuple(uncovered))


def _of_this_repository(statement: Statement, hub_name: str | None) -> Finding:
    if hub_name is None:
        return Finding("statement", "verified", f"is well-formed, of {name_of(statement.repo_id)}")
    if statement.repo_id != hub_name:
        problem = f"it is of {name_of(statement.repo_id)}, and this is {hub_name}"
        return Finding("statement", "failed", "is of another repository", (problem,))
    return Finding("statement", "verified", "is well-formed, of this repository")


def _bytes(
    statement: Statement, repository: Repository, digests: Digests, progress: Progress
) -> Finding:
    problems = []
    with progress.task(f"compare {len(statement.files)} files", total=len(statement.files)) as task:
        for path, stated in statement.files.items():
            if path not in repository.files:
                problems.append(f"{name_of(path)} is missing")
            elif difference := _difference(digests, path, stated):
                problems.append(f"{name_of(path)} {difference}")
            task.advance()
    n = len(statement.files)
    if problems:
        return Finding("bytes", "failed", f"{len(problems)} of {n} files differ", tuple(problems))
    means = digests.means(tuple(statement.files))
    return Finding("bytes", "verified", f"all {n} files are those of the statement: {means}")


def _difference(digests: Digests, path: str, stated: str) -> str | None:
    """What is wrong with one file; None when it has the digest that is stated."""
    try:
        found = digests.sha256(path)
    except UnreadableFile as error:
        return error.what
    return None if found == stated else f"is {found[:12]}, the statement has {stated[:12]}"


def _documents(statement: Statement, repository: Repository) -> Iterable[Finding]:
    claim, problem = _attempt(PUBLISHED_MANIFEST, lambda: published_claim(repository))
    saes = tuple(claim.saes.values()) if claim else None
    yield from problem or [_manifest(statement, repository, claim)]
    yield _index(statement, repository, saes)
    report, problem = _attempt(REPORT, lambda: published_report(repository))
    if report is not None:
        evidence = claim.manifest.evidence_digest() if claim else None
        checked = agreement.with_report(statement, report, saes, evidence_digest=evidence)
        yield _agreement(REPORT, checked, "checked and measured these very bytes")
    else:
        yield from problem or [Finding(REPORT, "not checked", "is not there")]
    training, problem = _attempt(TRAINING, lambda: published_training(repository))
    if training is not None:
        made = agreement.with_training(statement, training)
        yield _agreement(TRAINING, made, "made these files, from what the statement names")
    else:
        yield from problem or [
            Finding(TRAINING, "absent", "is not there: the weights were made elsewhere")
        ]


def _manifest(statement: Statement, repository: Repository, claim: Claim | None) -> Finding:
    if claim is None:
        return Finding(PUBLISHED_MANIFEST, "not checked", "is not there")
    resolved = repository.read_json(PUBLISHED_MANIFEST)
    return _agreement(
        PUBLISHED_MANIFEST,
        agreement.with_manifest(statement, resolved, claim.manifest),
        "is the manifest of the statement, with its base model and data",
    )


def _index(
    statement: Statement, repository: Repository, saes: tuple[SaeSpec, ...] | None
) -> Finding:
    if ROOT_INDEX not in repository.files:
        return Finding(ROOT_INDEX, "not checked", "is not there")
    index, problem = _attempt(ROOT_INDEX, lambda: repository.read_json(ROOT_INDEX))
    if problem:
        return problem[0]
    compared = agreement.with_index(statement, index, saes)
    return _agreement(ROOT_INDEX, compared, "lists every SAE with the digests of the statement")


def _agreement(part: str, problems: Iterable[str], meaning: str) -> Finding:
    found = tuple(problems)
    if found:
        return Finding(part, "failed", "contradicts the statement", found)
    return Finding(part, "verified", meaning)


def _signature(
    repository: Repository,
    digests: Digests,
    statement: Statement | None,
    by: PublicKey | ExpectedIdentity | None,
) -> Finding:
    # What the statement does not name is listed as not verified, signed or not.
    named = signed_paths(statement.files if statement else repository.files)
    paths = [path for path in named if path in repository.files]
    if SIGNATURE not in repository.files:
        if by is None:
            return Finding(SIGNATURE, "absent", "is not there: nothing shows who made the weights")
        return Finding(
            SIGNATURE, "failed", "is missing", ("a key or identity was given to hold it against",)
        )
    try:
        file = repository.fetch(SIGNATURE)
        if by is None:
            option = "--identity" if is_keyless(file) else "--key"
            text = f"covers {len(covered_paths(file))} files, of whom {option} has to say"
            return Finding(SIGNATURE, "not checked", text)
        covered = verify_signature(file, {path: digests.sha256(path) for path in paths}, by)
    except MissingExtra as error:
        return Finding(SIGNATURE, "not checked", f"{error.what}: {error.next_step}")
    except (BadSignature, UnreadableFile) as error:
        text = f"is not by {_name(by)}" if by else "cannot be read"
        return Finding(SIGNATURE, "failed", text, (error.what,))
    built_by = statement.predicate.run.builder.id if statement else None
    if isinstance(by, ExpectedIdentity) and built_by != by.identity:
        problem = f"the statement names the builder {name_of(str(built_by))}"
        return Finding(
            SIGNATURE, "failed", f"is by {by.identity}, the statement is not", (problem,)
        )
    n_saes = len({path.rpartition("/")[0] for path in covered})
    return Finding(
        SIGNATURE, "verified", f"is by {_name(by)}: {len(covered)} files of {n_saes} SAEs"
    )


def _name(by: PublicKey | ExpectedIdentity | None) -> str:
    return f"the key {by.path.name}" if isinstance(by, PublicKey) else by.identity if by else ""


def _attempt(part: str, read: Callable[[], _Value]) -> tuple[_Value | None, tuple[Finding, ...]]:
    """What was read, or the finding that it cannot be."""
    try:
        return read(), ()
    except HubUnavailable:
        raise
    except UnreadableFile as error:
        return None, (Finding(part, "failed", "cannot be read", (error.what,)),)
    except ReleaseError as error:
        return None, (Finding(part, "failed", "is refused", (error.what,)),)
