"""What a push adds to a release: a signature where asked, and the statement, each once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from release.provenance.builder import Builder
from release.provenance.model_signature import SIGNATURE, BadSignature
from release.provenance.publishing import with_provenance
from release.provenance.signing import PrivateKey
from release.provenance.statement import PROVENANCE
from release.publishing.release_files import ReleaseFile, describe_file


def described(made: Any) -> dict[str, ReleaseFile]:
    return {name: describe_file(name, made.folder / Path(name)) for name in made.files()}


def test_the_statement_is_added_and_stays_the_same_when_nothing_changed(made: Any) -> None:
    before = described(made)
    files = with_provenance(made.loaded, made.build, before, builder=Builder())
    assert files.keys() == before.keys() | {PROVENANCE}
    assert list(files) == sorted(files)
    again = with_provenance(made.loaded, made.build, described(made), builder=Builder("https://ci"))
    assert again == files


def test_a_signature_of_other_bytes_is_not_published(
    made: Any, tamper: Any, make_key: Callable[..., tuple[Path, Path]]
) -> None:
    pytest.importorskip("model_signing", reason="comes with the extra sign")
    key = make_key()[0]

    def publish(signer: PrivateKey | None) -> dict[str, ReleaseFile]:
        return with_provenance(
            made.loaded, made.build, described(made), builder=Builder(), signer=signer
        )

    signed = publish(PrivateKey(key))
    assert {SIGNATURE, PROVENANCE} <= signed.keys()
    # Signed once; afterwards it is published without the key.
    assert publish(PrivateKey(key)) == publish(None) == signed
    tamper("topk_L1_mixed/cfg.json")
    with pytest.raises(BadSignature, match="is of other weights or configurations"):
        publish(None)
    assert publish(PrivateKey(key))[SIGNATURE].sha256 != signed[SIGNATURE].sha256
