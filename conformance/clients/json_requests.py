"""Native JSON, by requests."""

import requests
from lib import TARGET, ORACLE, Checks, cases, check_results, check_summary, document, expected

checks = Checks(requests=requests.__version__)
session = requests.Session()

for case in cases("document"):
    want = expected(case)
    name = case["name"]
    forms = [document(case)]
    # A batch that changes nothing may be asked in every form.
    if not case.get("batch") and all(isinstance(o, dict) and o.get("method", "GET") == "GET" for o in case["operations"]):
        forms += [case["operations"], {**forms[0], "unknown": None}]
    for form in forms:
        answer = checks.attempt(f"{name}: answer", lambda: session.post(f"{TARGET}/batch", json=form, timeout=20))
        if answer is None:
            continue
        checks.equal(f"{name}: status of the batch", answer.status_code, 207)
        checks.equal(f"{name}: its type", answer.headers.get("content-type"), "application/json")
        checks.equal(f"{name}: not to be stored", answer.headers.get("cache-control"), "no-store")
        read = checks.attempt(f"{name}: is JSON", answer.json)
        if not isinstance(read, dict):
            continue
        results = read.get("results", [])
        checks.equal(f"{name}: in request order", [r.get("index") for r in results], list(range(len(want))))
        check_results(checks, case, results, want)
        check_summary(checks, name, read.get("summary"), want)

# Alone, a panic is a broken connection. That a batch makes a 500 of it is the one thing that differs.
try:
    requests.get(f"{ORACLE}/boom", timeout=20)
    checks.true("a panic breaks the connection", False)
except requests.ConnectionError:
    checks.true("a panic breaks the connection", True)

# Refused as a whole.
for name, status, options in [
    ("no JSON", 400, {"data": "{", "headers": {"content-type": "application/json"}}),
    ("no operations", 400, {"json": {}}),
    ("empty", 400, {"json": []}),
    ("an id twice", 400, {"json": [{"id": "a", "path": "/"}, {"id": "a", "path": "/"}]}),
    ("too many", 413, {"json": [{"path": "/users/1"}] * 101}),
    ("another type", 415, {"data": "a=b", "headers": {"content-type": "application/x-www-form-urlencoded"}}),
    ("another answer", 406, {"json": [{"path": "/"}], "headers": {"accept": "image/png"}}),
]:
    # On a connection of its own: a body that is refused unread takes its connection with it, which hyper doesn't announce.
    answer = checks.attempt(name, lambda: requests.post(f"{TARGET}/batch", timeout=20, **options))
    if answer is None:
        continue
    checks.equal(f"{name}: status", answer.status_code, status)
    checks.equal(f"{name}: type", answer.headers.get("content-type"), "application/problem+json")
    problem = checks.attempt(f"{name}: problem", answer.json)
    checks.equal(f"{name}: its status", (problem or {}).get("status"), status)

checks.report()
