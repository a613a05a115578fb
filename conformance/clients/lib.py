"""What the Python clients share: the cases, the oracle, and the counting of checks."""

import base64
import http.client
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

TARGET = os.environ["TARGET"]
ORACLE = os.environ["ORACLE"]
TOLD = "location content-encoding content-range etag last-modified retry-after allow link www-authenticate content-type".split()


@dataclass
class Result:
    status: int
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    # Whether the layer has answered, and not the service: then the body is a problem document.
    of_layer: bool = False


class Checks:
    def __init__(self, **versions):
        self.count, self.failures, self.versions = 0, [], versions

    def equal(self, what, got, want):
        self.count += 1
        if got != want or type(got) is not type(want):
            self.fail(f"{what}: got {got!r:.300}, want {want!r:.300}")

    def true(self, what, holds):
        self.equal(what, bool(holds), True)

    def attempt(self, what, do):
        """`do()`, whose every exception is a failure."""
        self.count += 1
        try:
            return do()
        except Exception as error:  # noqa: BLE001
            self.fail(f"{what}: {type(error).__name__}: {error!s:.300}")

    def fail(self, failure):
        self.failures.append(failure)
        if "FIRST" in os.environ:
            self.report()

    def same(self, what, got, want):
        """A result against the same request sent alone."""
        self.equal(f"{what}: status", got.status, want.status)
        if want.of_layer:
            problem = self.attempt(f"{what}: problem", lambda: json.loads(got.body))
            self.equal(f"{what}: status of the problem", (problem or {}).get("status"), want.status)
            return
        for name in TOLD:
            self.equal(f"{what}: {name}", got.headers.get(name), want.headers.get(name))
        self.equal(f"{what}: body", canonical(got), canonical(want))

    def report(self):
        print(json.dumps({"checks": self.count, "failures": self.failures, "versions": self.versions}), flush=True)
        os._exit(bool(self.failures))


def canonical(result):
    """The body, with all that JSON leaves to the writer taken away."""
    if result.headers.get("content-type") != "application/json":
        return result.body
    try:
        return json.dumps(json.loads(result.body), sort_keys=True)
    except ValueError:
        return result.body


def cases(kind):
    """Those that this kind of batch can say: a `document`, or `lines`."""
    every = json.loads((Path(__file__).parent.parent / "cases.json").read_text())
    return [case for case in every if case.get("only", kind) == kind]


def plain(can):
    """The cases with those of their operations that a client can say, when they run one after the other and none knows of
    another."""
    for case in cases("document"):
        expect = case.get("expect", {})
        # What the layer itself says depends on what those of each format say, but for a panic.
        kept = [index for index, operation in enumerate(case["operations"])
                if expect.get(str(index)) in (None, 500) and "refs" not in operation and can(operation)]
        if kept and "batch" not in case:
            of_kept = {str(place): expect[str(index)] for place, index in enumerate(kept) if str(index) in expect}
            yield {"name": case["name"], "operations": [case["operations"][index] for index in kept], "expect": of_kept}


def document(case):
    return {"operations": case["operations"], **case.get("batch", {})}


def expected(case):
    """What the same requests are answered, sent one by one to a server that has seen all that the other one has."""
    results, by_id = [], {}
    for index, operation in enumerate(case["operations"]):
        status = case.get("expect", {}).get(str(index))
        result = Result(status, of_layer=True) if status else alone(operation, by_id)
        results.append(result)
        if isinstance(operation, dict) and "id" in operation:
            by_id[operation["id"]] = result
    # A group that fails has changed nothing. The cases have its writes among `expect`, so they were not sent.
    return results


def asked(operation):
    """The headers, and the body as bytes, of what is sent for an operation."""
    headers = {name.lower(): value for name, value in operation.get("headers", {}).items()}
    if "body" not in operation:
        return headers, None
    body = operation["body"]
    if operation.get("encoding") == "base64":
        return headers, base64.b64decode(body)
    if "json" in headers.get("content-type", "json"):
        headers.setdefault("content-type", "application/json")
        return headers, json.dumps(body, ensure_ascii=False).encode()
    return headers, body.encode()


def alone(operation, by_id):
    return direct(operation.get("method", "GET"), resolved(operation, by_id), *asked(operation))


def resolved(operation, by_id):
    path = operation["path"]
    for name, reference in operation.get("refs", {}).items():
        id, kind, rest = re.fullmatch(r"(.*?)([#@])(.*)", reference).groups()
        if kind == "#":
            path = path.replace("{" + name + "}", quote(str(json.loads(by_id[id].body)[rest.strip("/")])))
        else:
            path = path.replace("{+" + name + "}", by_id[id].headers[rest])
    return path


def direct(method, path, headers=None, body=None, base=None):
    connection = http.client.HTTPConnection(urlsplit(base or ORACLE).netloc, timeout=20)
    connection.putrequest(method, path, skip_accept_encoding=True)
    headers = dict(headers or {})
    if body is not None:
        headers["content-length"] = str(len(body))
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    result = Result(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    connection.close()
    return result


def native(result):
    """A result of a native JSON answer."""
    headers = {name.lower(): value for name, value in result.get("headers", {}).items()}
    value = result.get("data", result.get("error"))
    has_value = "data" in result or "error" in result
    if result.get("encoding") == "base64":
        body = base64.b64decode(value, validate=True)
    elif not has_value:
        body = b""
    elif "content-type" in headers and isinstance(value, str):
        body = value.encode()
    else:
        body = json.dumps(value).encode()
        headers.setdefault("content-type", "application/json")
    return Result(result["status"], headers, body)


def check_results(checks, case, results, want):
    """Results of a native answer, whatever their order: each operation has exactly one."""
    name = case["name"]
    indexes = [result.get("index") for result in results]
    checks.equal(f"{name}: one result for each operation", sorted(map(str, indexes)), sorted(map(str, range(len(want)))))
    by_index = {result.get("index"): result for result in results}
    for index, expectation in enumerate(want):
        result, label = by_index.get(index), f"{name} [{index}]"
        if result is None:
            checks.true(f"{label}: there is a result", False)
            continue
        operation = case["operations"][index]
        id = operation.get("id") if isinstance(operation, dict) else None
        checks.equal(f"{label}: id", result.get("id"), id)
        got = checks.attempt(f"{label}: can be read", lambda: native(result))
        if got is None:
            continue
        # A failure without a body is told by its reason phrase.
        if expectation.status >= 400 and not expectation.body and not expectation.of_layer:
            checks.equal(f"{label}: reason", result.get("error"), http.client.responses[expectation.status])
            got.body, got.headers = b"", expectation.headers
        checks.same(label, got, expectation)


def check_summary(checks, name, summary, want):
    succeeded = sum(result.status < 400 for result in want)
    checks.equal(f"{name}: summary", summary, {"total": len(want), "succeeded": succeeded, "failed": len(want) - succeeded})
