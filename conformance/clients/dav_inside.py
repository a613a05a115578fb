"""A WebDAV server inside of a batch (examples/webdav): webdav4 reads each inner multistatus as it would read it alone."""

import os
import subprocess
from importlib.metadata import version

from lib import Checks
from webdav4.client import Client
from webdav4.multistatus import MultiStatusResponse

checks = Checks(webdav4=version("webdav4"))
XML = {"content-type": "application/xml; charset=utf-8"}
FIND = '<D:propfind xmlns:D="DAV:"><D:prop><D:getcontentlength/><D:resourcetype/><D:getetag/></D:prop></D:propfind>'
PATCH = '<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><D:getetag>mine</D:getetag></D:prop></D:set></D:propertyupdate>'
PROGRAM = [
    {"method": "MKCOL", "path": "/a/"},
    {"method": "PUT", "path": "/a/one", "headers": {"content-type": "text/plain"}, "body": "one"},
    {"method": "PUT", "path": "/a/%C3%BC%20%26%20more", "headers": {"content-type": "text/plain"}, "body": "two"},
    {"method": "COPY", "path": "/a/", "headers": {"destination": "/b/"}},
    {"method": "MOVE", "path": "/b/one", "headers": {"destination": "/b/eins"}},
    {"method": "PROPFIND", "path": "/a/", "headers": XML | {"depth": "1"}, "body": FIND},
    {"method": "PROPFIND", "path": "/b/", "headers": XML | {"depth": "1"}, "body": FIND},
    {"method": "PROPPATCH", "path": "/b/eins", "headers": XML, "body": PATCH},
    {"method": "DELETE", "path": "/none"},
]


def start():
    server = subprocess.Popen([os.environ["WEBDAV"]], env=os.environ | {"LISTEN": "127.0.0.1:0"}, stdout=subprocess.PIPE, text=True)
    return server, server.stdout.readline().split()[-1]


def shape(text):
    """What webdav4 makes of a multistatus, without what differs from one directory to the next."""
    responses = MultiStatusResponse(text).responses
    return {path: (one.href, one.status_code, one.properties.content_length, one.properties.collection) for path, one in responses.items()}


(first, together), (second, alone) = start(), start()
try:
    client = Client(together, timeout=20).http
    results = client.post("/batch", json=PROGRAM).json()["results"]
    checks.equal("number", len(results), len(PROGRAM))
    for index, (operation, result) in enumerate(zip(PROGRAM, results)):
        name = f"[{index}] {operation['method']} {operation['path']}"
        want = Client(alone, timeout=20).http.request(
            operation["method"], operation["path"], headers=operation.get("headers"), content=operation.get("body"))
        checks.equal(f"{name}: status", result["status"], want.status_code)
        if want.status_code == 207:
            checks.equal(f"{name}: type", result["headers"]["content-type"], want.headers["content-type"])
            inner = checks.attempt(f"{name}: is a multistatus", lambda: shape(result["data"]))
            checks.equal(f"{name}: what is read", inner, shape(want.text))
    # And as a client sees it that knows nothing of batches.
    files = Client(together, timeout=20)
    listed = {entry["name"]: entry["content_length"] for entry in files.ls("b")}
    checks.equal("its files", listed, {"b/eins": 3, "b/ü & more": 3})
finally:
    for server in (first, second):
        server.kill()
        server.wait()
checks.report()
