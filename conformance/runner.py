"""Starts servers, runs each client against them, and tells how many checks there were. `run` prepares what it needs."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
SERVER = os.environ["SERVER"]
NODE = os.environ.get("NODE", "node")

# What each client reads, and so which ways of breaking an answer it has to notice: none where only its use is shown.
CLIENTS = {
    "xml_webdav.mjs": "xml",
    "xml_webdav4.py": "dav",
    "xml_xmllint.py": "xml",
    "lines_fetch.mjs": "ndjson",
    "lines_aiohttp.py": "ndjson",
    "lines_httpx.py": "whole",
    "lines_curl.py": "whole",
    "json_requests.py": "json",
    "graph.mjs": "graph",
    "odata_json.mjs": "odata",
    "multipart_google.py": "google",
    "multipart_odata.mjs": "parts",
    "multipart_o.mjs": "numbered",
    "multipart_sap.mjs": "sets",
    "multipart_pyodata.py": "strict",
    "page.py": None,
    "dav_inside.py": None,
}
# What a client wants its server to be told.
OPTIONS = {"multipart_pyodata.py": {"MULTIPART_STATUS": "202"}}
# What a client can't notice, and why.
BLIND = {
    "xml_webdav.mjs": {
        "wrong namespace": "it takes prefixes off, and asks for no namespace",
        "lost namespace": "it takes prefixes off, and asks for no namespace",
    },
    "xml_webdav4.py": {
        "another root": "it looks for responses wherever they stand",
    },
    "odata_json.mjs": {
        "status of the whole": "it asks for no status",
    },
    "multipart_google.py": {
        "part told twice": "it keeps one for each id",
        "swapped parts": "it goes by ids",
        "lost last boundary": "it takes the end for it",
        "no empty line before a response": "it takes what is no header for the beginning of the response",
        "lower-case headers": "to it they are the same",
    },
    "multipart_odata.mjs": {
        "line ends without CR": "it takes both",
    },
    "multipart_o.mjs": {
        "no header of a response": "it looks for none",
        "change set taken apart": "it makes the same list of a batch and of a change set",
    },
    "multipart_sap.mjs": {
        "no empty line before a body": "it takes the last line for the body",
        "no header of a response": "it looks for none",
        "status line without a reason": "it looks for the number",
        "line ends without CR": "it takes both",
        "lower-case headers": "to it they are the same",
    },
    "multipart_pyodata.py": {
        "part told twice": "it takes as many as it has asked for",
        "lost last boundary": "it takes the end for it",
        "no empty line before a response": "it takes what is no header for the beginning of the response",
        "no header of a part": "it looks for none",
        "status line without a reason": "it needs none",
        "line ends without CR": "it takes both",
        "lower-case headers": "to it they are the same",
    },
}


class Server:
    """The example, on a port that nobody else has."""

    def __init__(self, client):
        env = {**os.environ, "LISTEN": "127.0.0.1:0", **OPTIONS.get(client, {})}
        self.process = subprocess.Popen([SERVER], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self.process.stdout.readline().split()[-1]

    def __enter__(self):
        return self.url

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Proxy:
    """Passes on what it gets, but for the answers to batches, which it breaks in one way."""

    def __init__(self, upstream, way):
        command = [NODE, HERE / "broken.mjs", upstream, way]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        self.changed = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        rest, _ = self.process.communicate()
        self.changed = rest.count("changed")


def run(client, target, oracle, **more):
    command = [NODE] if client.endswith(".mjs") else [sys.executable]
    env = {**os.environ, "TARGET": target, "ORACLE": oracle, "NODE": NODE, "NODE_NO_WARNINGS": "1", **more}
    try:
        done = subprocess.run([*command, HERE / "clients" / client], env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return {"checks": 0, "failures": ["it did not end within two minutes"], "versions": {}, "broke": True}
    try:
        report = json.loads(done.stdout.strip().split("\n")[-1])
    except (IndexError, ValueError):
        # It must not take an answer that is broken for a reason to fall over.
        return {"checks": 0, "failures": [f"no report: {done.stderr[-2000:]}"], "versions": {}, "broke": True}
    if (done.returncode != 0) != bool(report["failures"]):
        report["failures"].append(f"it ended with {done.returncode}")
    if not report["checks"]:
        report["failures"].append("it has checked nothing")
    return report


def conform(clients):
    rows, failures = [], []
    for client in clients:
        began = time.monotonic()
        with Server(client) as target, Server(client) as oracle:
            report = run(client, target, oracle)
        versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
        rows.append((client, report["checks"], len(report["failures"]), time.monotonic() - began, versions))
        failures += [f"{client}: {failure}" for failure in report["failures"]]
    print(f"{'client':<20} {'checks':>7} {'failed':>7} {'time':>8}  versions")
    for client, checks, failed, seconds, versions in rows:
        print(f"{client:<20} {checks:>7} {failed:>7} {seconds:>6.1f} s  {versions}")
    print(f"{'together':<20} {sum(row[1] for row in rows):>7} {sum(row[2] for row in rows):>7}")
    return failures


def through(client, way):
    """What a client reports of answers that are broken in one way, and how many there were."""
    with Server(client) as target, Server(client) as oracle:
        with Proxy(target, way) as proxy:
            report = run(client, proxy.url, oracle, **({} if way == "nothing" else {"FIRST": "1"}))
    return report, proxy.changed


def broken(clients):
    """Each way to break an answer has to be noticed, and an answer that isn't broken has to pass."""
    ways = json.loads(subprocess.run([NODE, HERE / "broken.mjs", "--list"], stdout=subprocess.PIPE, check=True).stdout)
    # They wait most of the time.
    pool = ThreadPoolExecutor(2)
    failures = []
    print(f"{'client':<20} {'caught':>7}  first failure of each")
    for client in clients:
        caught, notes = 0, []
        blind = BLIND.get(client, {})
        every = ["nothing", *ways[CLIENTS[client]]]
        for way, (report, changed) in zip(every, pool.map(lambda way: through(client, way), every)):
            if report.get("broke"):
                failures.append(f"{client}, {way}: {report['failures'][0]}")
            elif way == "nothing":
                failures += [f"{client}, through the proxy: {failure}" for failure in report["failures"]]
            elif not changed:
                failures.append(f"{client}, {way}: there was nothing to break")
            elif way in blind:
                notes.append(f"{way}: not seen, {blind[way]}")
                if report["failures"]:
                    failures.append(f"{client}, {way}: seen after all: {report['failures'][0]}")
            elif not report["failures"]:
                failures.append(f"{client}, {way}: not noticed")
            else:
                caught += 1
                notes.append(f"{way}: {report['failures'][0]}")
        print(f"{client:<20} {caught:>7}")
        for note in notes:
            print(f"    {' '.join(note.split()):.150}")
    return failures


def main():
    arguments = sys.argv[1:]
    is_broken = "--broken" in arguments
    names = [argument for argument in arguments if argument != "--broken"]
    unknown = [name for name in names if not any(name in client for client in CLIENTS)]
    if unknown:
        sys.exit(f"no such client: {', '.join(unknown)}; there are {', '.join(CLIENTS)}")
    clients = [client for client in CLIENTS if CLIENTS[client] or not is_broken]
    clients = [client for client in clients if not names or any(name in client for name in names)]
    failures = (broken if is_broken else conform)(clients)
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    sys.exit(bool(failures))


main()
