"""RFC 4918 XML, by the reader of webdav4, over its own HTTP client."""

from importlib.metadata import version
from urllib.parse import unquote

from lib import TARGET, Checks, Result, expected
from webdav4.client import Client
from webdav4.multistatus import MultiStatusResponseError, Response, parse_multistatus_response
from xml_lib import check_hrefs, in_order, location, xml_cases

checks = Checks(webdav4=version("webdav4"))
client = Client(TARGET, timeout=20)


def read(response):
    ours = response.response_xml.find("{urn:tower-multistatus:1}result")
    place = response.response_xml.find("{DAV:}location/{DAV:}href")
    return {
        "href": response.href, "status": f"HTTP/1.1 {response.status_code} ", "code": response.status_code,
        "description": response.response_description, "location": "" if place is None else place.text,
        "index": ours.get("index"), "target": ours.get("target"),
    }


def path_of(response):
    """What its dictionary has responses by: a path without its query, its escapes and its last slash."""
    return unquote(response["href"].split("?")[0]).rstrip("/")


for name, case, kind, body in xml_cases():
    want = expected(case)
    answer = checks.attempt(f"{name}: answer", lambda: client.http.post(
        "/batch", content=body, headers={"content-type": kind, "accept": "application/xml"}))
    parsed = answer and checks.attempt(f"{name}: is multistatus", lambda: parse_multistatus_response(answer))
    if not parsed:
        continue
    # All of them: its dictionary has one for each path, whatever the query.
    elements = parsed.tree.findall("{DAV:}response")
    responses = checks.attempt(f"{name}: can be read", lambda: [read(Response(element)) for element in elements])
    if responses is None:
        continue
    check_hrefs(checks, name, case, responses)
    paths = [path_of(response) for response in responses]
    for index, response in in_order(checks, name, responses, len(want)):
        label, expectation = f"{name} [{index}]", want[index]
        checks.equal(f"{label}: status", response["code"], expectation.status)
        checks.equal(f"{label}: location", response["location"], location(expectation))
        if expectation.status >= 400 and (expectation.body or expectation.of_layer):
            checks.true(f"{label}: description", response["description"])
        path = path_of(response)
        if paths.count(path) == 1:
            by_path = checks.attempt(f"{label}: by its path", lambda: parsed.get_response_for_path("/", path))
            checks.equal(f"{label}: its status", getattr(by_path, "status_code", None), expectation.status)
    # What it makes of failures: of the last response for each path.
    last = dict(zip(paths, responses))
    failed = {response["href"] for response in last.values() if (response["code"] or 0) >= 400}
    try:
        parsed.raise_for_status()
        told = set()
    except MultiStatusResponseError as error:
        told = set(error.statuses)
    checks.equal(f"{name}: what it says has failed", told, failed)

checks.report()
