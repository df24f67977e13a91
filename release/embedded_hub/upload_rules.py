"""Which uploads become large files, and which are ignored.

The rule: a file is large when the repository's `.gitattributes` says `filter=lfs` for its path,
when it is over 10 MiB, or when its first 512 bytes hold a NUL byte (so it is not text). The real
Hub's rule is not published; this one agrees with what is known of it.
"""

from __future__ import annotations

import io

from dulwich.attrs import GitAttributes, compile_gitattributes_patterns, parse_git_attributes
from dulwich.ignore import IgnoreFilter, read_ignore_patterns

MAX_REGULAR_SIZE_BYTES = 10 * 2**20

_LARGE_FILE_PATTERNS = """
*.7z *.arrow *.bin *.bz2 *.ckpt *.ftz *.gz *.h5 *.joblib *.lfs.* *.mlmodel *.model *.msgpack
*.npy *.npz *.onnx *.ot *.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors
saved_model/**/* *.tar.* *.tar *.tflite *.tgz *.wasm *.xz *.zip *.zst *tfevents*
"""

DEFAULT_GITATTRIBUTES = "".join(
    f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in _LARGE_FILE_PATTERNS.split()
).encode("ascii")
"""What a new model repository starts with on the Hub."""


class UploadRules:
    """The rules of one repository at one commit."""

    def __init__(self, *, gitattributes: bytes, gitignore: bytes) -> None:
        entries = parse_git_attributes(io.BytesIO(gitattributes))
        self._attributes = GitAttributes(compile_gitattributes_patterns(entries))
        self._ignored = IgnoreFilter(read_ignore_patterns(io.BytesIO(gitignore)))

    def is_large(self, path: str, *, size_bytes: int, sample: bytes) -> bool:
        """Whether a file must be uploaded as a large file; `sample` is its first 512 bytes."""
        by_attribute = self._attributes.match_path(path.encode()).get(b"filter") == b"lfs"
        return by_attribute or size_bytes > MAX_REGULAR_SIZE_BYTES or b"\0" in sample

    def is_ignored(self, path: str) -> bool:
        """Whether `.gitignore` leaves the file out of the commit."""
        return bool(self._ignored.is_ignored(path))
