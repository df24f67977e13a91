"""Which blocks of a card say themselves that they need a GPU."""

from __future__ import annotations

import ast

import pytest

from validators.readme.gpu_blocks import names_gpu


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x.to('cuda')", True),
        ("torch.zeros(1, device='cuda:1')", True),
        ("x = x.cuda()", True),
        ("device = torch.device('cuda')", True),
        ("M.from_pretrained(name, device_map='cuda')", True),
        ("M.from_pretrained(name, device_map={'': 'cuda:0'})", True),
        ("M.from_pretrained(name, device_map={'': 0})", True),
        ("M.from_pretrained(name, device_map=0)", True),
        ("M.from_pretrained(name, device_map='auto')", False),
        ("M.from_pretrained(name, device_map={'': 'cpu'})", False),
        ("device = 'cuda' if torch.cuda.is_available() else 'cpu'", False),
        ("print('runs on cuda or not')", False),
        ("torch.cuda.synchronize", False),
        ("BitsAndBytesConfig(load_in_4bit=True)", False),
    ],
)
def test_a_block_that_names_a_gpu_is_told_from_one_that_chooses(code: str, expected: bool) -> None:
    assert names_gpu(ast.parse(code)) is expected
