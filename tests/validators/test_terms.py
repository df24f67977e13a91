"""Every number of a report is defined in docs/terms.md."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from validators import evaluation, loss_measurements

TERMS = Path(__file__).resolve().parents[2] / "docs" / "terms.md"


def test_every_metric_has_a_definition_and_every_definition_a_metric() -> None:
    source = inspect.getsource(evaluation.evaluate)
    measured = set(re.findall(r'"(\w+)": (?:held|trained|apart)\(', source))
    measured |= set(loss_measurements.UNITS)
    headings = re.findall(r"^### (.+)$", TERMS.read_text(encoding="utf-8"), re.MULTILINE)
    defined = {name for heading in headings for name in re.findall(r"`(\w+)`", heading)}
    assert measured == defined
    assert len(measured) == 22
