"""Google's multipart, by google-api-python-client: its batches of its own requests, and of those that it makes by a
description of the API."""

import json
from importlib.metadata import version
from urllib.parse import quote

import google_auth_httplib2
import httplib2
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError
from googleapiclient.http import BatchHttpRequest, HttpRequest
from lib import TARGET, Checks, Result, asked, direct, plain

checks = Checks(**{"google-api-python-client": version("google-api-python-client")})


class Http(httplib2.Http):
    """Keeps the last head of the whole, of which the client says nothing."""

    def request(self, *arguments, **named):
        self.head, content = super().request(*arguments, **named)
        return self.head, content


http = Http(timeout=20)


def sent(operation):
    """What it sends for this: of each request it says that it is JSON, if nothing else is said."""
    headers, body = asked(operation)
    headers.setdefault("content-type", "application/json")
    if body and not body.isascii():
        body = json.dumps(json.loads(body)).encode()
    return headers, body


def can(operation):
    """It writes line ends anew, has no bytes, and no characters but those of Latin-1. JSON needs none of them."""
    body = asked(operation)[1] or b""
    is_json = "encoding" not in operation and "json" in operation.get("headers", {}).get("content-type", "json")
    return (is_json or body.isascii() and b"\r" not in body) and operation["path"] != "/blob/70000"


def execute(name, requests):
    """What its callback has got, by the ids, which are those of requests."""
    got = {}

    def callback(id, response, exception):
        checks.true(f"{name}: {id} has come once", id not in got)
        got[id] = (response, exception)

    batch = BatchHttpRequest(callback=callback, batch_uri=f"{TARGET}/batch")
    for id, request in requests.items():
        batch.add(request, request_id=id)
    checks.attempt(f"{name}: answer", lambda: batch.execute(http=http))
    checks.equal(f"{name}: ids", list(got), list(requests))
    if got:
        checks.equal(f"{name}: status of the batch", http.head.status, 200)
        checks.true(f"{name}: its type", http.head["content-type"].startswith("multipart/mixed; boundary=batchresponse_"))
        checks.equal(f"{name}: not to be stored", http.head["cache-control"], "no-store")
    return got


def result(response, exception):
    head, content = (exception.resp, exception.content) if exception else response
    return Result(head.status, dict(head), content)


def check(label, got, want):
    """A part, against what the same request alone is answered."""
    got = result(*got)
    checks.equal(f"{label}: length", got.headers.get("content-length"), str(len(got.body)))
    if want.of_layer:
        checks.equal(f"{label}: status", got.status, want.status)
        error = (checks.attempt(f"{label}: error", lambda: json.loads(got.body)) or {}).get("error", {})
        checks.equal(f"{label}: its message", type(error.get("message")), str)
        return
    checks.same(label, got, want)


def whole(head, content):
    """Instead of what the API would make of an answer."""
    return head, content


for case in plain(can):
    operations = []
    for operation in case["operations"]:
        headers, body = sent(operation)
        operations.append((operation.get("method", "GET"), operation["path"], headers, body))
    want = []
    for index, operation in enumerate(operations):
        status = case["expect"].get(str(index))
        want.append(Result(status, of_layer=True) if status else direct(*operation))
    # Ids of all kinds: it percent-encodes them, and folds the line where they are long.
    ids = [operation.get("id") or f"{case['name']} / {index} + ü" for index, operation in enumerate(case["operations"])]
    requests = {
        id: HttpRequest(http, whole, TARGET + path, method, body and body.decode(), headers)
        for id, (method, path, headers, body) in zip(ids, operations)
    }
    got = execute(case["name"], requests)
    for index, id in enumerate(ids):
        if id in got:
            check(f"{case['name']} [{index}]", got[id], want[index])

# As many as there may be, by ids of its own.
names = [str(index + 1) for index in range(100)]
got = execute("a hundred", {name: HttpRequest(http, whole, f"{TARGET}/users/{name}") for name in names})
for name in names:
    if name in got:
        check(f"a hundred [{name}]", got[name], direct("GET", f"/users/{name}"))

# By a description of the API.
ID = {"type": "string", "required": True, "location": "path"}
ONE = {"path": "users/{id}", "parameters": {"id": ID}, "parameterOrder": ["id"]}
USER = {"$ref": "User"}
service = build_from_document({
    "name": "users", "version": "v1", "rootUrl": f"{TARGET}/", "servicePath": "", "batchPath": "batch",
    "schemas": {"User": {"id": "User", "type": "object", "properties": {"name": {"type": "string"}, "email": {"type": "string"}}}},
    "resources": {"users": {"methods": {
        "get": {"id": "users.get", "httpMethod": "GET", "response": USER, **ONE},
        "insert": {"id": "users.insert", "httpMethod": "POST", "path": "users", "request": USER, "response": USER},
        "update": {"id": "users.update", "httpMethod": "PUT", "request": USER, "response": USER, **ONE},
        "patch": {"id": "users.patch", "httpMethod": "PATCH", "request": USER, "response": USER, **ONE},
        "delete": {"id": "users.delete", "httpMethod": "DELETE", **ONE},
    }}},
}, http=http)
users = service.users()
EVE, ADA, PATCH = {"name": "Zoë 漢字 🦀", "email": "zoe@example.com"}, {"name": "Ada L.", "email": "l@example.com"}, {"name": "\"G\"\r\n"}
got = []
batch = service.new_batch_http_request(callback=lambda id, response, exception: got.append((id, response, exception)))
asked_alone = [
    (users.insert(body=EVE), "POST", "/users", EVE), (users.get(id="3"), "GET", "/users/3", None),
    (users.update(id="3", body=ADA), "PUT", "/users/3", ADA), (users.patch(id="2", body=PATCH), "PATCH", "/users/2", PATCH),
    (users.get(id="2"), "GET", "/users/2", None), (users.get(id="ü/🦀"), "GET", f"/users/{quote('ü/🦀', safe='')}", None),
    (users.delete(id="2"), "DELETE", "/users/2", None), (users.delete(id="2"), "DELETE", "/users/2", None),
]
for request, *_ in asked_alone:
    batch.add(request)
checks.attempt("described: answer", batch.execute)
checks.equal("described: ids", [id for id, *_ in got], [str(index + 1) for index in range(len(asked_alone))])
for (id, response, exception), (_, method, path, body) in zip(got, asked_alone):
    want = direct(method, f"{path}?alt=json", {"content-type": "application/json"}, body and json.dumps(body).encode())
    if want.status >= 300:
        checks.equal(f"described {id}: status", exception and exception.status_code, want.status)
        checks.equal(f"described {id}: error", exception and json.loads(exception.content), json.loads(want.body))
    else:
        checks.equal(f"described {id}: what is read", response, json.loads(want.body) if want.body else "")

# With credentials it has the token in each part and in the head of the batch. Another one than that a server has to allow.
authorized = google_auth_httplib2.AuthorizedHttp(Credentials(token="a token"), http=http)
got = []
batch = BatchHttpRequest(batch_uri=f"{TARGET}/batch", callback=lambda *answer: got.append(answer))
batch.add(HttpRequest(authorized, whole, f"{TARGET}/users/1"))
checks.attempt("credentials: answer", batch.execute)
for _, response, exception in got:
    checks.equal("credentials: none is refused", exception, None)
    checks.equal("credentials: what is read", json.loads(response[1])["id"], 1)
checks.equal("credentials: number", len(got), 1)

other = google_auth_httplib2.AuthorizedHttp(Credentials(token="another token"), http=http)
got = []
batch = BatchHttpRequest(batch_uri=f"{TARGET}/batch", callback=lambda *answer: got.append(answer))
batch.add(HttpRequest(other, whole, f"{TARGET}/users/1"))
checks.attempt("another token: answer", lambda: batch.execute(http=authorized))
for _, _, exception in got:
    checks.equal("another token: status", exception and exception.status_code, 400)
    checks.true("another token: which header", exception and "authorization" in exception.reason)
checks.equal("another token: number", len(got), 1)

# It reads an answer as UTF-8 as a whole, so bytes that are none cost it all of it.
batch = BatchHttpRequest(batch_uri=f"{TARGET}/batch")
batch.add(HttpRequest(http, whole, f"{TARGET}/blob/200"))
try:
    batch.execute(http=http)
    checks.true("bytes: can't be read", False)
except UnicodeDecodeError:
    checks.true("bytes: can't be read", True)

# A batch that is refused as a whole is an error of its own.
batch = BatchHttpRequest(batch_uri=f"{TARGET}/batch")
for _ in range(101):
    batch.add(HttpRequest(http, whole, f"{TARGET}/users/1"))
try:
    batch.execute(http=http)
    checks.true("too many: refused", False)
except HttpError as error:
    checks.equal("too many: status", error.status_code, 413)
    checks.equal("too many: its type", error.resp["content-type"], "application/problem+json")

checks.report()
