"""RFC 4918 XML, by libxml2: its parser, its RelaxNG validator, its XPath. Answers come by curl."""

import base64
import json
import re
import subprocess
import tempfile
from pathlib import Path

from lib import TARGET, Checks, Result, expected
from xml_lib import check_hrefs, in_order, location, xml_cases

GRAMMAR = Path(__file__).parent.parent / "multistatus.rng"


def tool(*command, given=None):
    done = subprocess.run(command, input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
    if done.returncode:
        raise ValueError(f"{command[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[:300]}")
    return done.stdout


def dav(name):
    return f"*[local-name()='{name}' and namespace-uri()='DAV:']"


def ours(name):
    return f"*[local-name()='{name}' and namespace-uri()='urn:tower-multistatus:1']"


def valid(xml):
    return subprocess.run(["xmllint", "--nonet", "--noout", "--relaxng", str(GRAMMAR), "-"], input=xml,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20).returncode == 0


# An end that no text has, for it is no character of a text of ours: strings are joined by it.
END = "\ue000END\ue001"


def read(path):
    """Each response as a dictionary: one run of xmllint for the number of parts, and one for all of them."""
    every = f"/{dav('multistatus')}/{dav('response')}"
    count = int(tool("xmllint", "--nonet", "--xpath", f"count({every})", path))
    parts = []
    names = []
    for i in range(1, count + 1):
        at = f"{every}[{i}]"
        result = f"{at}/{ours('result')}"
        for name, expression in {
            "href": f"{at}/{dav('href')}", "status": f"{at}/{dav('status')}",
            "description": f"{at}/{dav('responsedescription')}", "location": f"{at}/{dav('location')}/{dav('href')}",
            "index": f"{result}/@index", "id": f"{result}/@id", "method": f"{result}/@method", "target": f"{result}/@target",
            "body": f"{result}/{ours('body')}", "type": f"{result}/{ours('body')}/@type",
            "encoding": f"{result}/{ours('body')}/@encoding",
            **{header: f"{result}/{ours('header')}[@name='{header}']" for header in ("content-type", "location ", "allow", "etag")},
        }.items():
            names.append((i - 1, name))
            parts.append(f"string({expression.replace('location ', 'location')})")
    responses = [{} for _ in range(count)]
    # libxml2 bounds the length of an expression's list of arguments.
    for begin in range(0, len(parts), 30):
        some = parts[begin:begin + 30]
        joined = f"concat({(f',{chr(39)}{END}{chr(39)},').join(some)},'')"
        text = tool("xmllint", "--nonet", "--xpath", joined, path).decode()
        # xmllint adds one line end.
        for (i, name), value in zip(names[begin:], text[:-1].split(END)):
            responses[i][name] = value
    return responses


def result(response):
    status = int(response["status"].split(" ")[1])
    body = response["body"]
    body = base64.b64decode(body, validate=True) if response["encoding"] == "base64" else body.encode()
    names = {"content-type": "content-type", "location ": "location", "allow": "allow", "etag": "etag"}
    return Result(status, {to: response[name] for name, to in names.items() if response[name]}, body)


def main():
    version = subprocess.run(["xmllint", "--version"], stderr=subprocess.PIPE, text=True).stderr
    curl = tool("curl", "--version").decode().split()[1]
    checks = Checks(xmllint=re.search(r"version (\d+)", version)[1], curl=curl)
    grammar(checks)
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "answer.xml")
        for name, case, kind, body in xml_cases():
            want = expected(case)
            head = checks.attempt(f"{name}: answer", lambda: tool(
                "curl", "--silent", "--show-error", "--max-time", "20", "--output", path, "--data-binary", "@-",
                "--write-out", "%{http_code} %{content_type}", "-H", f"content-type: {kind}", "-H", "accept: application/xml",
                f"{TARGET}/batch", given=body))
            if head is None:
                continue
            checks.equal(f"{name}: head", head.decode(), "207 application/xml; charset=utf-8")
            xml = Path(path).read_bytes()
            checks.equal(f"{name}: follows the grammar", valid(xml), True)
            responses = checks.attempt(f"{name}: can be read", lambda: read(path))
            if responses is None:
                continue
            check_hrefs(checks, name, case, responses)
            for index, response in in_order(checks, name, responses, len(want)):
                label, expectation = f"{name} [{index}]", want[index]
                operation = case["operations"][index]
                got = checks.attempt(f"{label}: result", lambda: result(response))
                if got is None:
                    continue
                checks.equal(f"{label}: id", response["id"], operation.get("id", "") if isinstance(operation, dict) else "")
                checks.same(label, got, expectation)
                checks.equal(f"{label}: location", response["location"], location(expectation))
                if got.body and not expectation.of_layer:
                    checks.equal(f"{label}: type", response["type"], expectation.headers.get("content-type", ""))
                if expectation.of_layer:
                    detail = (checks.attempt(f"{label}: problem", lambda: json.loads(got.body)) or {}).get("detail")
                    checks.equal(f"{label}: description", response["description"], detail)
    checks.report()


def grammar(checks):
    """So that what the grammar lets through means something."""
    good = (b'<multistatus xmlns="DAV:" xmlns:x="urn:x"><response x:a=""><href>/a?b</href><status>HTTP/1.1 200 OK</status><responsedescription>d'
            b'</responsedescription><location><href>http://b/</href></location><x:y><x:z>t</x:z></x:y></response></multistatus>')
    checks.equal("grammar: with everything", valid(good), True)
    for name, part, instead, want in [
        ("extensions may be missing", b"<x:y><x:z>t</x:z></x:y>", b"", True),
        ("and may stand elsewhere", b"<href>/a?b</href>", b"<x:y/><href>/a?b</href>", True),
        ("properties", b"<status>HTTP/1.1 200 OK</status>", b"<propstat><prop><getetag>e</getetag></prop><status>HTTP/1.1 200 OK</status></propstat>", True),
        ("no href", b"<href>/a?b</href>", b"", False),
        ("relative href", b"/a?b", b"a", False),
        ("href with a fragment", b"/a?b", b"/a#b", False),
        ("href with a space", b"/a?b", b"/a b", False),
        ("href that is not ASCII", b"/a?b", "/ü".encode(), False),
        ("half an escape", b"/a?b", b"/%a", False),
        ("no status", b"<status>HTTP/1.1 200 OK</status>", b"", False),
        ("two", b"<status>", b"<status>HTTP/1.1 200 OK</status><status>", False),
        ("bare status", b"HTTP/1.1 200 OK", b"200", False),
        ("no space behind it", b"HTTP/1.1 200 OK", b"HTTP/1.1 200", False),
        ("two descriptions", b"<location>", b"<responsedescription/><location>", False),
        ("location without href", b"<href>http://b/</href>", b"", False),
        ("unknown name of DAV:", b"<x:y>", b"<result/><x:y>", False),
        ("text", b"<x:y>", b"text<x:y>", False),
        ("another namespace", b'"DAV:"', b'"DAV"', False),
    ]:
        checks.true(f"grammar: {name}: is there", part in good)
        checks.equal(f"grammar: {name}", valid(good.replace(part, instead)), want)


main()
