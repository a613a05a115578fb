"""Batches without end, by httpx. Over HTTP/1.1 it reads when it has written all: no dialogue with it."""

import httpx
from lib import TARGET, Checks
from lines_lib import check_lines

checks = Checks(httpx=httpx.__version__)
client = httpx.Client(timeout=15)


def exchange(lines):
    request = client.build_request("POST", f"{TARGET}/batch", content=lines, headers={"content-type": "application/x-ndjson"})
    answer = client.send(request, stream=True)
    # `iter_lines` would split at more than line ends.
    return answer.status_code, answer.headers.get("content-type"), split(answer.iter_bytes())


def split(pieces):
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    if rest:
        raise ValueError(f"half a line at the end: {rest!r:.100}")


check_lines(checks, exchange, while_writing=False)
checks.report()
