"""What is the same for all that read XML."""

import json

from lib import cases, document

OURS = "/batch?operation="


def xml_cases():
    """Each case as a document, which is answered whole; and those that can be sent as lines, which are answered while
    they run."""
    for case in cases("document"):
        yield case["name"], case, "application/json", json.dumps(document(case)).encode()
    for case in cases("lines"):
        lines = "".join(json.dumps(operation) + "\n" for operation in case["operations"]).encode()
        yield f"{case['name']}, streamed", case, "application/x-ndjson", lines


def in_order(checks, name, responses, count):
    """Index and response. A streamed answer may have them in any order."""
    indexes = [response["index"] for response in responses]
    checks.equal(f"{name}: one response for each operation", sorted(indexes), sorted(map(str, range(count))))
    if not name.endswith("streamed"):
        checks.equal(f"{name}: in request order", indexes, [str(index) for index in range(count)])
    by_index = {response["index"]: response for response in responses}
    return [(index, by_index[str(index)]) for index in range(count) if str(index) in by_index]


def check_hrefs(checks, name, case, responses):
    """An href stands there once only (RFC 4918 §14.24). The first one on a target has it; others have one of ours."""
    hrefs = [response["href"] for response in responses]
    checks.equal(f"{name}: hrefs once only", sorted(hrefs), sorted(set(hrefs)))
    seen = set()
    for response in responses:
        index = response["index"]
        operation = dict(enumerate(case["operations"])).get(int(index) if index and index.isdigit() else None)
        path = operation.get("path") if isinstance(operation, dict) else None
        label = f"{name} [{index}]: href"
        if not isinstance(path, str) or "refs" in operation:
            checks.true(label, response["href"] == f"{OURS}{index}" or response["href"].startswith("/users/"))
        elif case.get("expect", {}).get(index) == 400:
            # The target may never have come to be.
            checks.true(label, response["href"] in (f"{OURS}{index}", path))
        elif path in seen:
            checks.equal(label, response["href"], f"{OURS}{index}")
            checks.equal(f"{label}: target", response["target"], path)
        else:
            checks.equal(label, response["href"], path)
        seen.add(path if isinstance(path, str) else None)


def location(want):
    """Of what is new (§14.9)."""
    return want.headers.get("location", "") if want.status == 201 else ""
