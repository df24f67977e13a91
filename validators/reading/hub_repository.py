"""A repository on a Hub, fixed at one commit.

The revision is resolved to a commit oid once; every later read names that oid, so a push in
between cannot mix two states, and the client's cache cannot answer with an older file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from manifests.digests import bytes_sha256, file_sha256
from manifests.errors import ReleaseError
from validators.reading.repository import HubUnavailable, Repository, UnreadableFile, stays_inside

_TIMEOUT_S = 30.0
# A header of an SAE has a few hundred bytes; a longer one costs a second request.
_START_BYTES = 2_048
_AT_ONCE = 32
_SMALL_FILE_BYTES = 1_000_000


class HubRepository(Repository):
    """One commit of a model repository on a Hub.

    Attributes:
        oid: the commit, 40 hexadecimal digits.
        cache_dir: where downloads go; None: the client's default cache.
    """

    def __init__(
        self,
        repo_id: str,
        *,
        revision: str | None = None,
        endpoint: str | None = None,
        token: str | bool | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        """Resolve the revision and list the files.

        Args:
            repo_id: `owner/name`.
            revision: branch, tag or commit; the default branch when not given.
            endpoint: the Hub's URL; the client's default when not given.
            token: sent with each request; False sends none, None means the client's own.
            cache_dir: where downloads go; the client's default cache when not given.

        Raises:
            HubUnavailable: no such repository or revision, no access, or no answer.
        """
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile

        self._api = HfApi(endpoint=endpoint, token=token)
        self.cache_dir = cache_dir
        self.name = repo_id
        shown = f"{repo_id}@{revision}" if revision else repo_id
        with hub_errors(shown, endpoint=self._api.endpoint):
            info = self._api.model_info(repo_id, revision=revision, timeout=_TIMEOUT_S)
            if not info.sha:
                raise HubUnavailable("the Hub named no commit for it", where=shown)
            self.oid = info.sha
            entries = list(self._api.list_repo_tree(repo_id, recursive=True, revision=self.oid))
        listed = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
        files = {path: entry for path, entry in listed.items() if stays_inside(path)}
        self.refused = tuple(sorted(listed.keys() - files.keys()))
        self.location = f"{repo_id}@{self.oid}"
        self.files = {path: files[path].size for path in sorted(files)}
        self._lfs_sha256 = {path: e.lfs.sha256 for path, e in files.items() if e.lfs is not None}
        self._read_whole = cache(self._download_small)
        self._read_start = cache(self._download_start)

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Ask for the bytes by HTTP Range.

        Small files that are not LFS are read once, whole; of the others the start is kept.
        """
        size = self.size_of(path)
        length = max(0, min(length, size - start))
        if length == 0:
            return b""
        if path not in self._lfs_sha256:
            return self._read_whole(path)[start : start + length]
        if start + length <= _START_BYTES:
            return self._read_start(path)[start : start + length]
        return self._download_range(path, start, length)

    def prefetch(self, paths: Iterable[str]) -> None:
        """Read small files and the headers of safetensors files, 32 at a time, and keep them.

        Paths that the repository does not have, and files of other kinds that are large, are left
        out. No weights are read.

        Raises:
            HubUnavailable: the Hub refused one of them, also after the client's own retries.
        """
        wanted = [path for path in sorted({*paths}) if path in self.files]
        if not wanted:
            return
        with ThreadPoolExecutor(min(_AT_ONCE, len(wanted)), "prefetch") as threads:
            for _ in threads.map(self._read_ahead, wanted):
                pass

    def _read_ahead(self, path: str) -> None:
        try:
            if path.endswith(".safetensors"):
                self.read_header(path)
            elif path not in self._lfs_sha256 and self.files[path] <= _SMALL_FILE_BYTES:
                self._read_whole(path)
        except HubUnavailable:
            raise
        except ReleaseError:
            # A damaged file is a finding of the check that reads it next, which names the SAE.
            return

    def fetch(self, path: str) -> Path:
        """Download the file at the resolved commit into the cache."""
        self.size_of(path)
        with hub_errors(f"{self.location}/{path}", endpoint=self._api.endpoint):
            return Path(
                self._api.hf_hub_download(
                    self.name, path, revision=self.oid, cache_dir=self.cache_dir
                )
            )

    def sha256(self, path: str) -> str:
        """The Hub's own SHA-256 for LFS files; else that of the downloaded bytes."""
        if path in self._lfs_sha256:
            return self._lfs_sha256[path]
        if self.sha256_is_cheap(path):
            return bytes_sha256(self._read_whole(path))
        return file_sha256(self.fetch(path))

    def sha256_is_cheap(self, path: str) -> bool:
        """True for LFS files, and for others of up to 1 MB."""
        return path in self._lfs_sha256 or self.files.get(path, 1 << 30) <= _SMALL_FILE_BYTES

    def _download_small(self, path: str) -> bytes:
        return self._download_range(path, 0, self.size_of(path))

    def _download_start(self, path: str) -> bytes:
        return self._download_range(path, 0, min(_START_BYTES, self.size_of(path)))

    def _download_range(self, path: str, start: int, length: int) -> bytes:
        import httpx2
        from huggingface_hub import hf_hub_url, hf_raise_for_status

        # Public and documented, but missing from the list that a type checker reads.
        from huggingface_hub.utils import (  # type: ignore[attr-defined]
            build_hf_headers,
            http_stream_backoff,
        )

        url = hf_hub_url(self.name, path, revision=self.oid, endpoint=self._api.endpoint)
        headers = build_hf_headers(token=self._api.token)
        # `identity`: a compressed answer would have other byte positions than the file.
        headers |= {"Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"}
        where = f"{self.location}/{path}"
        broken: httpx2.TransportError | None = None
        content = b""
        with (
            hub_errors(where, endpoint=self._api.endpoint),
            http_stream_backoff(
                "GET",
                url,
                headers=headers,
                timeout=_TIMEOUT_S,
                # Not ConnectError: after one the client closes the session that other threads use.
                retry_on_exceptions=(httpx2.TimeoutException, httpx2.RemoteProtocolError),
            ) as response,
        ):
            hf_raise_for_status(response)
            skip = start if response.status_code == 200 else 0
            try:
                content = _take(response.iter_bytes(), skip, length)
            except httpx2.TransportError as error:
                # Raised after the block: inside, the client would begin a second answer.
                broken = error
        if len(content) < length:
            raise HubUnavailable(
                f"sent {len(content)} of {length} bytes" if not broken else "the connection broke",
                where=where,
                expected=f"{length} bytes from byte {start} on",
                next_step="try again; the connection was cut",
            ) from broken
        return content


def _take(chunks: Iterator[bytes], skip: int, length: int) -> bytes:
    """`length` bytes after the first `skip`, without reading on; a Hub may ignore a Range."""
    taken = bytearray()
    for chunk in chunks:
        dropped = min(skip, len(chunk))
        skip -= dropped
        taken += chunk[dropped : dropped + length - len(taken)]
        if len(taken) >= length:
            break
    return bytes(taken)


@contextmanager
def hub_errors(where: str, *, endpoint: str) -> Iterator[None]:
    """Turn the client's errors into ones that say what to do; no token or signed URL is shown."""
    from huggingface_hub import errors

    try:
        yield
    except ReleaseError:
        raise
    except errors.GatedRepoError as error:
        raise HubUnavailable(
            "is gated, and this account has no access",
            where=where,
            expected="a token whose account was granted access",
            next_step=f"ask for access on {endpoint}, then `hf auth login` or set HF_TOKEN",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HubUnavailable(
            "the repository has no such revision",
            where=where,
            expected="a branch, a tag or a commit of the repository",
            next_step=f"the repository's page on {endpoint} lists them; where none is given, the "
            "default branch is taken",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise HubUnavailable(
            "the Hub knows no such repository, or this token may not see it",
            where=where,
            expected=f"a model repository on {endpoint}",
            next_step="check the spelling; for a private one `hf auth login` or set HF_TOKEN",
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise _no_answer(where, endpoint, error) from error
    except errors.EntryNotFoundError as error:
        raise UnreadableFile(
            "the Hub lists the file but does not have it", where=where, expected="a file"
        ) from error
    except errors.HFValidationError as error:
        raise HubUnavailable(
            "is not a repository id", where=where, expected="owner/name"
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise HubUnavailable(
            "cannot be read: HF_HUB_OFFLINE is set",
            where=where,
            expected="a Hub that may be asked",
            next_step="unset HF_HUB_OFFLINE, or check a local folder",
        ) from error
    except errors.HfHubHTTPError as error:
        raise _refused(where, endpoint, error) from error
    except OSError as error:
        raise _no_answer(where, endpoint, error) from error
    except Exception as error:
        if not _is_transport_error(error):
            raise
        raise _no_answer(where, endpoint, error) from error


def _is_transport_error(error: Exception) -> bool:
    import httpx2

    return isinstance(error, httpx2.TransportError | httpx2.StreamError)


def _refused(where: str, endpoint: str, error: Any) -> HubUnavailable:
    status = error.response.status_code if error.response is not None else None
    if status == 401:
        next_step = "log in with `hf auth login`, or set HF_TOKEN to a valid token"
    elif status == 403:
        next_step = "use a token that is allowed to do this (`hf auth whoami` shows which it is)"
    elif status == 429:
        next_step = "too many requests: wait a few minutes, or log in for a higher limit"
    elif status is not None and status >= 500:
        next_step = "the Hub has a fault of its own: try again later"
    else:
        next_step = f"check that {endpoint} is a Hub"
    said = " ".join(str(getattr(error, "server_message", None) or "").split())[:200]
    return HubUnavailable(
        f"the Hub answered {status}" + (f": {said}" if said else ""),
        where=where,
        expected="an answer 200",
        next_step=next_step,
    )


def _no_answer(where: str, endpoint: str, error: Exception) -> HubUnavailable:
    return HubUnavailable(
        f"no answer from {endpoint} ({type(error).__name__})",
        where=where,
        expected="a Hub that can be reached",
        next_step="check the network and HF_ENDPOINT; --hub embedded is the Hub on this machine",
    )
