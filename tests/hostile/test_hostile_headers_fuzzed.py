"""Headers and JSON of any bytes: read, or refused with one error.

The safetensors library is the second opinion: what this parser accepts, it accepts too.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import safetensors
from hostile_inputs import CORPUS, header_file
from hypothesis import example, given, settings
from hypothesis import strategies as st

from validators.reading.safetensors_header import (
    MalformedSafetensors,
    SafetensorsHeader,
    parse_header,
)
from validators.reading.strict_json import JsonProblem, parse_json

FEW = settings(deadline=None, derandomize=True, max_examples=200)

# What safetensors 0.8 reads and this parser refuses, on purpose.
STRICTER = (
    "stands twice",  # the library takes the last of two tensors of one name
    "unknown dtype",  # F4, F6, F8_E8M0, C64: no SAE is stored in them
    "names a tensor",  # control characters, or a name of more than 500
    "names 10001 tensors",
    "impossible shape",  # more than 16 axes
    "__metadata__ that does not map",  # null, which no writer writes
    "no float holds",  # in a place that the library skips
    "characters",
    "in a text",
)


def ours(content: bytes) -> SafetensorsHeader | str:
    try:
        return parse_header(content, size_bytes=len(content), where="w.safetensors")
    except MalformedSafetensors as error:
        return str(error)


def theirs(content: bytes) -> dict[str, Any] | None:
    try:
        return {name: (t["shape"], len(t["data"])) for name, t in safetensors.deserialize(content)}
    except (safetensors.SafetensorError, OverflowError):
        return None


def assert_they_agree(content: bytes) -> None:
    mine, other = ours(content), theirs(content)
    if isinstance(mine, SafetensorsHeader):
        assert other == {n: (list(t.shape), t.end - t.begin) for n, t in mine.tensors.items()}
    elif other is not None:
        assert any(reason in mine for reason in STRICTER), mine


sizes = st.integers(0, 3) | st.sampled_from([-1, 1 << 31, 1 << 62, 1 << 63, 1 << 64, 2.0, True])
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "BF16", "I8", "F4", "F64", "x"]),
        "shape": st.lists(sizes, max_size=3),
        "data_offsets": st.lists(st.integers(-1, 24) | sizes, min_size=2, max_size=2),
    },
    optional={"more": st.none()},
)
names = st.sampled_from(["W_enc", "W_dec", "__metadata__", "", "é", "\n"])
documents = st.dictionaries(names, entries | st.none() | st.just({"format": "pt"}), max_size=4)


@st.composite
def sound_files(draw: st.DrawFn) -> bytes:
    """Tensors that fill the data, in an order of their own."""
    header: dict[str, Any] = {}
    end = 0
    for name in draw(st.lists(st.text(max_size=5), max_size=5, unique=True)):
        shape = draw(st.lists(st.integers(0, 3), max_size=3))
        begin, n_elements = end, 1
        for size in shape:
            n_elements *= size
        end += 4 * n_elements
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    shuffled = dict(draw(st.permutations(list(header.items()))))
    padding = b" " * draw(st.integers(0, 9))
    return header_file(json.dumps(shuffled).encode() + padding, data=bytes(end))


@FEW
@given(st.binary(max_size=120))
def test_any_bytes_are_refused_or_read_alike(content: bytes) -> None:
    assert_they_agree(content)


@FEW
@given(st.binary(max_size=120), st.binary(max_size=8))
@example(b'{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', bytes(4))
@example(b' {"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', bytes(4))
@example(b'{"__metadata__":null}', b"")
@example(b'{"__metadata__":{"a":"b","a":"c"}}', b"")
def test_any_bytes_for_a_header_are_refused_or_read_alike(header: bytes, data: bytes) -> None:
    assert_they_agree(header_file(header, data=data))


@FEW
@given(documents, st.binary(max_size=24))
def test_any_description_is_refused_or_read_alike(document: Any, data: bytes) -> None:
    assert_they_agree(header_file(json.dumps(document).encode(), data=data))


@FEW
@given(sound_files())
def test_a_sound_file_is_read_alike(content: bytes) -> None:
    assert_they_agree(content)


@FEW
@given(sound_files(), st.integers(0, 10_000), st.integers(0, 255), st.integers(-4, 4))
def test_a_sound_file_with_one_byte_changed_or_cut_is_read_alike(
    content: bytes, place: int, value: int, n_more: int
) -> None:
    changed = bytearray(content)
    changed[place % len(changed)] = value
    assert_they_agree(bytes(changed))
    assert_they_agree(content[:n_more] if n_more < 0 else content + bytes(n_more))


@pytest.mark.parametrize(
    "path", sorted((CORPUS / "sae_weights.safetensors").iterdir()), ids=lambda path: path.stem
)
def test_every_kept_header_is_read_alike(path: Any) -> None:
    assert_they_agree(path.read_bytes())


json_like = st.text(alphabet='{}[]",:\\u0d8nulltrefas 0123456789.eE+-NI\x00\ud83d', max_size=60)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@FEW
@given(json_like | st.text())
def test_any_text_is_refused_or_read_as_json_reads_it(text: str) -> None:
    try:
        value = parse_json(text)
    except JsonProblem:
        return
    assert value == json.loads(text)
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8")


@FEW
@given(values)
def test_plain_json_is_read_as_it_was_written(value: Any) -> None:
    try:
        assert parse_json(json.dumps(value)) == value
    except JsonProblem as error:
        assert "integer" in error.what


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 65 + "]" * 65, "nested too deeply"),
        ('{"a":' * 65 + "1" + "}" * 65, "nested too deeply"),
        ("[" + "1," * 500_000 + "1]", "more than 500000 strings"),
        ("1" * 31, "integer of 31 characters"),
        ("[1e999]", "no float holds: 1e999"),
        ('["\\udc00"]', "half of a character in a text: .udc00"),
        ('{"' + "k" * 1_000 + '":1,"' + "k" * 1_000 + '":1}', "'kkkk.* stands twice"),
    ],
)
def test_what_would_cost_too_much_or_lose_its_meaning_is_refused(text: str, message: str) -> None:
    with pytest.raises(JsonProblem, match=message) as caught:
        parse_json(text)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text",
    ["[" * 64 + "]" * 64, '["[[[[{{{{,,,,"]', '["\\"[", "\\\\"]', "1" * 30, '["\\ud83d\\ude00"]'],
)
def test_what_only_looks_excessive_is_read(text: str) -> None:
    assert parse_json(text) == json.loads(text)
