"""What the tables of one manifest depend on besides an SAE's own files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from manifests.measure import Measure
from manifests.model import Manifest
from validators.environment import environment
from validators.report import Digests

# Raise it when the same inputs give other numbers: what is kept is then computed again.
TABLES_VERSION = 1


@dataclass(frozen=True)
class Settings:
    """The manifest's settings and the digests of what every table reads.

    Attributes:
        manifest: the claim.
        base_digest: of the base model that was loaded.
        inputs: SHA-256 by path of every file that the tables rest on.
    """

    manifest: Manifest
    base_digest: str
    inputs: Digests

    @property
    def measure(self) -> Measure:
        """The manifest's section `measure`."""
        return self.manifest.measure

    def shared(self) -> dict[str, Any]:
        """JSON values that every kept result depends on."""
        manifest, data = self.manifest, self.manifest.data
        return {
            "version": TABLES_VERSION,
            "environment": environment(),
            "base_model": [self.base_digest, manifest.base_model.precision.model_dump(mode="json")],
            "data": data.model_dump(
                mode="json", exclude={"description", "label_rule", "label_precision", "scenarios"}
            ),
            "measure": manifest.measure.model_dump(mode="json", exclude={"steering", "stability"}),
        }

    def digests_of(self, sae_id: str) -> Digests:
        """SHA-256 of an SAE's own files, those of further seeds included."""
        return {
            path: digest
            for path, digest in self.inputs.items()
            if f"/{path}".rpartition("/")[0].endswith(f"/{sae_id}")
        }
