"""The program that loads from a Hub as a user's script does.

It is a process of its own because huggingface_hub reads HF_ENDPOINT once, when it is imported, and
SAELens passes no endpoint on. Given a request as JSON on stdin, it appends one JSON line for each
answer to a file, so that what was answered before a crash is kept. Nothing of this package is
imported besides this module.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LOADS, IMPORTS, FORGET, RESULTS = "loads", "imports", "forget", "results"
_MESSAGE_CHARACTERS = 500


def main() -> None:
    """Answer the request on stdin."""
    request = json.loads(sys.stdin.buffer.read().decode("utf-8"))
    with Path(request[RESULTS]).open("a", encoding="utf-8", newline="\n") as results:
        for answer in _answers(request):
            results.write(json.dumps(answer, default=str) + "\n")
            results.flush()


def _answers(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for module, name in request[IMPORTS]:
        yield {"import": [module, name], "error": _import_error(module, name)}
    for load in request[LOADS]:
        yield {"load": load, **_loaded(load)}
        if request[FORGET]:
            _empty_cache()


def _import_error(module: str, name: str | None) -> str | None:
    """What `import module`, or `from module import name`, says; None when it works."""
    try:
        imported = importlib.import_module(module)
        if name is not None and not hasattr(imported, name):
            importlib.import_module(f"{module}.{name}")
    except Exception as error:  # noqa: BLE001 - whatever a user would see is the answer
        return _shown(error)
    return None


def _loaded(load: dict[str, Any]) -> dict[str, Any]:
    """State and config of what `SAE.from_pretrained` returns, or the error a user would see."""
    from sae_lens import SAE

    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        try:
            sae = SAE.from_pretrained(load["release"], load["sae_id"], **load["options"])
        except Exception as error:  # noqa: BLE001 - whatever a user would see is the answer
            return {"error": _shown(error)}
    own = [str(w.message) for w in raised if "sae_lens" in Path(w.filename).parts]
    return {
        "error": None,
        "warnings": [" ".join(text.split())[:_MESSAGE_CHARACTERS] for text in own],
        "config": config_facts(sae.cfg),
        "tensors": tensor_digests(sae.state_dict()),
    }


def _empty_cache() -> None:
    """Remove what was downloaded: a release of many SAEs may be larger than the temporary disk."""
    from huggingface_hub import constants

    # What is still mapped into memory cannot be removed on Windows; it goes with the folder.
    shutil.rmtree(constants.HF_HUB_CACHE, ignore_errors=True)


def config_facts(cfg: Any) -> dict[str, Any]:
    """A SAELens config as JSON values, without the device, which is the machine's own."""
    facts = {key: value for key, value in cfg.to_dict().items() if key != "device"}
    plain: dict[str, Any] = json.loads(json.dumps(facts, default=str, sort_keys=True))
    return plain


def tensor_digests(state: dict[str, Any]) -> dict[str, str]:
    """Shape and SHA-256 of each tensor's values in float32, by name."""
    digests = {}
    for name, tensor in state.items():
        values = tensor.detach().float().cpu().contiguous().numpy()
        digest = hashlib.sha256(values.data).hexdigest() if values.size else ""
        digests[name] = f"{'x'.join(map(str, values.shape))} {digest}"
    return digests


def _shown(error: Exception) -> str:
    message = " ".join(str(error).split()) or traceback.format_exc(limit=1).splitlines()[-1]
    return f"{type(error).__name__}: {message}"[:_MESSAGE_CHARACTERS]


if __name__ == "__main__":
    main()
