"""Damage of files and folders."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable

import torch
from injection import Damage, Injection, Row
from release_copy import CONFIG, WEIGHTS, ReleaseCopy, Target

_KEYS = Row("tensor names", "W001 L101")
_BROKEN = Row("damaged files", "F004 F005 L101 C001")
_PICKLE = Row("pickled weights", "F001 F004 F005 F006 F010 F110")
_FOLDERS = Row("folders missing or extra", "F001 F002 F003 F004 F005 F012 R002")
_DUPLICATES = Row("one SAE twice", "F012")


def _weights(target: Target) -> str:
    return f"{target.sae_id}/{WEIGHTS}"


def _config(target: Target) -> str:
    return f"{target.sae_id}/{CONFIG}"


def _without(name: str) -> Damage:
    return lambda copy, target: copy.edit_tensors(target.sae_id, lambda t: t.pop(name))


def _renamed(name: str, to: str) -> Damage:
    def change(copy: ReleaseCopy, target: Target) -> None:
        copy.edit_tensors(target.sae_id, lambda t: t.update({to: t.pop(name)}))

    return change


def _added(name: str) -> Damage:
    def change(copy: ReleaseCopy, target: Target) -> None:
        copy.edit_tensors(target.sae_id, lambda t: t.update({name: torch.ones(target.d_sae)}))

    return change


def _bytes(change: Callable[[bytes], bytes], path: Callable[[Target], str]) -> Damage:
    return lambda copy, target: copy.write(path(target), change(copy.read(path(target))))


def _flip_in_data(share: float, byte: int) -> Damage:
    """Turn over one bit of one byte of a float32; byte 3 holds its exponent."""

    def change(copy: ReleaseCopy, target: Target) -> None:
        data = bytearray(copy.read(_weights(target)))
        start = 8 + struct.unpack("<Q", data[:8])[0]
        at = start + int((len(data) - start - 4) * share) // 4 * 4 + byte
        data[at] ^= 0b1000000
        copy.write(_weights(target), bytes(data))

    return change


def _pickled(copy: ReleaseCopy, target: Target) -> None:
    torch.save(copy.tensors(target.sae_id), copy.root / target.sae_id / "sae_weights.pt")
    copy.remove(_weights(target))


def _pickle_beside(copy: ReleaseCopy, target: Target) -> None:
    torch.save(copy.tensors(target.sae_id), copy.root / target.sae_id / "sae.pt")
    copy.touched.add(target.sae_id)


def _repeat_key(copy: ReleaseCopy, target: Target) -> None:
    text = json.dumps(copy.cfg(target.sae_id))
    copy.write(_config(target), (text[:-1] + ', "d_in": 1}').encode())


def _same_weights_under_two_names(copy: ReleaseCopy, target: Target) -> None:
    other = target.other_condition or target.other_layer
    assert other is not None
    copy.remove(_weights(other))
    copy.duplicate(_weights(target), _weights(other))


INJECTIONS: tuple[Injection, ...] = (
    _KEYS("b_dec missing", "gross", _without("b_dec"), tier="static"),
    _KEYS(
        "W_enc missing",
        "gross",
        _without("W_enc"),
        tier="static",
        fits=lambda t: "W_enc" in t.tensors,
    ),
    _KEYS(
        "W_dec under PyTorch's name", "gross", _renamed("W_dec", "decoder.weight"), tier="static"
    ),
    _KEYS(
        "W_enc in lower case",
        "subtle",
        _renamed("W_enc", "w_enc"),
        tier="static",
        fits=lambda t: "W_enc" in t.tensors,
    ),
    _KEYS("one tensor too many", "subtle", _added("activation_scale"), tier="static"),
    _KEYS(
        "a TopK file with a threshold",
        "medium",
        _added("threshold"),
        tier="static",
        fits=lambda t: t.architecture in ("topk", "standard", "gated"),
    ),
    _KEYS(
        "a gated file with b_enc",
        "medium",
        _added("b_enc"),
        tier="static",
        fits=lambda t: t.architecture == "gated",
    ),
    _KEYS(
        "log_threshold in place of threshold",
        "medium",
        _renamed("threshold", "log_threshold"),
        tier="static",
        fits=lambda t: "threshold" in t.tensors,
    ),
    _KEYS(
        "log_threshold beside threshold",
        "subtle",
        _added("log_threshold"),
        tier="static",
        fits=lambda t: "threshold" in t.tensors,
    ),
    _KEYS(
        "no threshold",
        "medium",
        _without("threshold"),
        tier="static",
        fits=lambda t: "threshold" in t.tensors,
    ),
    _BROKEN(
        "weights cut short by 100 bytes",
        "medium",
        _bytes(lambda data: data[:-100], _weights),
        tier="static",
    ),
    _BROKEN(
        "weights cut to a half",
        "gross",
        _bytes(lambda data: data[: len(data) // 2], _weights),
        tier="static",
    ),
    _BROKEN(
        "weights are a Git LFS pointer",
        "gross",
        _bytes(
            lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            _weights,
        ),
        tier="static",
    ),
    _BROKEN("weights are empty", "gross", _bytes(lambda _: b"", _weights), tier="static"),
    _BROKEN(
        "one byte of the header turned over",
        "subtle",
        _bytes(lambda data: data[:12] + bytes([data[12] ^ 0xFF]) + data[13:], _weights),
        tier="static",
    ),
    _BROKEN(
        "bytes after the last tensor",
        "subtle",
        _bytes(lambda data: data + b"\0" * 16, _weights),
        tier="static",
    ),
    _BROKEN(
        "the config is cut short",
        "gross",
        _bytes(lambda data: data[: len(data) // 2], _config),
        tier="static",
    ),
    _BROKEN(
        "a merge conflict in the config",
        "gross",
        _bytes(lambda data: b"<<<<<<< HEAD\n" + data, _config),
        tier="static",
    ),
    _BROKEN("one key of the config twice", "subtle", _repeat_key, tier="static"),
    _BROKEN(
        "the config is a list",
        "medium",
        _bytes(lambda data: b"[" + data + b"]", _config),
        tier="static",
    ),
    _BROKEN(
        "an exponent bit flipped at the start",
        "subtle",
        _flip_in_data(0.0, 3),
        codes="W101 W104 W105 W106 W110 N204",
    ),
    _BROKEN(
        "an exponent bit flipped in the middle",
        "subtle",
        _flip_in_data(0.5, 3),
        codes="W101 W104 W105 W106 W110 N204",
    ),
    _BROKEN(
        "an exponent bit flipped at the end",
        "subtle",
        _flip_in_data(1.0, 3),
        codes="W101 W104 W105 W106 W110 N204",
    ),
    _BROKEN(
        "a low mantissa bit flipped in the middle",
        "subtle",
        _flip_in_data(0.5, 0),
        knowable="never",
    ),
    _PICKLE("weights only as a pickle", "gross", _pickled, tier="static"),
    _PICKLE("a pickle beside the weights", "medium", _pickle_beside, tier="static", whole=True),
    _FOLDERS(
        "the folder is gone",
        "gross",
        lambda c, t: c.remove(t.sae_id),
        tier="static",
        knowable="by manifest",
    ),
    _FOLDERS("the weights are gone", "gross", lambda c, t: c.remove(_weights(t)), tier="static"),
    _FOLDERS("the config is gone", "gross", lambda c, t: c.remove(_config(t)), tier="static"),
    _FOLDERS(
        "one folder more",
        "medium",
        lambda c, t: c.duplicate(t.sae_id, f"{t.sae_id}_copy"),
        tier="static",
    ),
    _DUPLICATES(
        "one SAE's weights under two names",
        "medium",
        _same_weights_under_two_names,
        tier="static",
        fits=lambda t: (t.other_condition or t.other_layer) is not None,
    ),
)
