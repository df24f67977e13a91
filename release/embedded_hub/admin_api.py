"""The embedded Hub's own calls, for one that runs in another process: faults and the log.

They need the write token, so that a page in a browser cannot use them, and are not logged.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from starlette.responses import JSONResponse, Response

from release.embedded_hub.call import Call
from release.embedded_hub.errors import Refusal
from release.embedded_hub.faults import Fault

ADMIN_PREFIX = "/embedded-hub/"


def set_faults(call: Call) -> Response:
    """POST /embedded-hub/faults with one fault or a list; keys as in `Fault`."""
    call.writer()
    try:
        wanted = json.loads(call.body)
        faults = [
            Fault.from_json(each) for each in (wanted if isinstance(wanted, list) else [wanted])
        ]
    except (ValueError, TypeError, AttributeError) as error:
        raise Refusal(400, f"Not a fault: {error}") from error
    for fault in faults:
        call.hub.faults.add(fault)
    return JSONResponse({"faults": len(faults)})


def clear_faults(call: Call) -> Response:
    """DELETE /embedded-hub/faults."""
    call.writer()
    call.hub.faults.clear()
    return JSONResponse({})


def list_requests(call: Call) -> Response:
    """GET /embedded-hub/requests[?since=N]: the log of this server from entry N on."""
    call.writer()
    since = call.one("since", "0")
    if not since.isdecimal():
        raise Refusal(400, "since must be a number")
    return JSONResponse([asdict(entry) for entry in call.hub.log.entries()[int(since) :]])
