"""OData's multipart as version 2.0 has it, by pyodata: its batches and change sets. It takes 202 and nothing else.

What it makes of entities is as XML and JSON of that version are, which the example doesn't speak. So each request is one of
the client's own kind, which only says what is to be sent, and keeps what has come."""

import json
from importlib.metadata import version

import requests
from lib import ORACLE, TARGET, Checks, Result, asked, direct, plain
from pyodata import Client
from pyodata.exceptions import HttpError
from pyodata.v2.service import ODataHttpRequest

METADATA = b"""<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" Version="1.0"><edmx:DataServices
xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" m:DataServiceVersion="2.0"><Schema
xmlns="http://schemas.microsoft.com/ado/2008/09/edm" Namespace="users"/></edmx:DataServices></edmx:Edmx>"""

checks = Checks(pyodata=version("pyodata"))
client = Client(TARGET, requests.Session(), metadata=METADATA)


class Request(ODataHttpRequest):
    def __init__(self, method, path, headers=None, body=None):
        super().__init__(TARGET, None, lambda response: response, headers=headers)
        self.said = method, path, body and body.decode()

    def get_method(self):
        return self.said[0]

    def get_path(self):
        return self.said[1]

    def get_body(self):
        return self.said[2]


def check(label, response, want):
    checks.true(f"{label}: is there", response)
    if response is None:
        return
    got = Result(response.status_code, {name.lower(): value for name, value in response.headers.items()}, response.content)
    checks.equal(f"{label}: length", got.headers.get("content-length"), str(len(got.body)))
    if want.of_layer:
        checks.equal(f"{label}: status", got.status, want.status)
        error = (checks.attempt(f"{label}: error", lambda: json.loads(got.body)) or {}).get("error", {})
        checks.equal(f"{label}: its message", type(error.get("message")), str)
    else:
        checks.same(label, got, want)


def can(operation):
    """It has only text, and that ASCII where it is no JSON; it reads what is UTF-8, and no line end but LF."""
    body = asked(operation)[1] or b""
    is_json = "encoding" not in operation and "json" in operation.get("headers", {}).get("content-type", "json")
    return (is_json or body.isascii() and b"\r" not in body) and operation["path"] not in ("/blob/70000", "/blob/16")


for case in plain(can):
    batch, want = client.create_batch(), []
    for index, operation in enumerate(case["operations"]):
        headers, body = asked(operation)
        if body and not body.isascii():
            body = json.dumps(json.loads(body)).encode()
        sent = operation.get("method", "GET"), operation["path"], headers, body
        batch.add_request(Request(*sent))
        status = case["expect"].get(str(index))
        want.append(Result(status, of_layer=True) if status else direct(*sent))
    got = checks.attempt(f"{case['name']}: answer", batch.execute) or []
    checks.equal(f"{case['name']}: number", len(got), len(want))
    for index, (response, expectation) in enumerate(zip(got, want)):
        check(f"{case['name']} [{index}]", response, expectation)

JSON = {"content-type": "application/json"}
EVE = json.dumps({"name": "Zoë 漢字 🦀", "email": "zoe@example.com"}).encode()
NOBODY = b'{"name": "Nobody"}'
# Who fails has its place beside it.
for name, members, failing in [
    ("all succeed", [("POST", "users", EVE), ("PATCH", "users/2", b'{"name": "Hopper"}'), ("DELETE", "users/3", None)], None),
    ("one alone", [("PUT", "users(1)", EVE)], None),
    ("the first one fails", [("DELETE", "users/0", None), ("PATCH", "users/2", NOBODY)], 0),
    ("the last one fails", [("PATCH", "users/2", NOBODY), ("POST", "users", EVE), ("DELETE", "users/0", None)], 2),
]:
    batch, change_set = client.create_batch(), client.create_changeset()
    for method, path, body in members:
        change_set.add_request(Request(method, path, JSON, body))
    batch.add_request(Request("GET", "users/2"))
    batch.add_request(change_set)
    before = direct("GET", "/users/2")
    members = members if failing is None else [members[failing]]
    want = [direct(method, f"/{path}", JSON, body) for method, path, body in members]
    try:
        first, got = batch.execute()
        checks.equal(f"{name}: one answer for all", failing is None, True)
        check(f"{name}, before", first, before)
        checks.equal(f"{name}: number", len(got), len(want))
    except HttpError as error:
        # It throws where there is one answer to all of the change set.
        checks.equal(f"{name}: one answer for all", failing is None, False)
        got = [error.response]
    except Exception as error:  # noqa: BLE001
        checks.fail(f"{name}: answer: {type(error).__name__}: {error!s:.300}")
        continue
    for index, (response, expectation) in enumerate(zip(got, want)):
        check(f"{name} [{index}]", response, expectation)
    for id in range(1, 10):
        checks.same(f"{name}: user {id} after it", direct("GET", f"/users/{id}", base=TARGET), direct("GET", f"/users/{id}", base=ORACLE))

checks.report()
