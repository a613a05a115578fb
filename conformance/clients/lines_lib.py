"""What the Python clients of batches without end share. A client is `exchange(lines)`: it takes an iterator of lines that
waits where it has to, and gives the results as they come."""

import json
import queue
import socket
import threading
import time
from urllib.parse import urlsplit

from lib import TARGET, Result, cases, check_results, check_summary, direct, expected

LONG = 3000


def line(operation):
    return json.dumps(operation, ensure_ascii=False).encode() + b"\n"


def check_lines(checks, exchange, while_writing=True):
    """`exchange` gives (status, type, iterator over lines), for lines that may still be to come."""

    def answer(name, lines):
        def all_of_it():
            status, kind, results = exchange(lines)
            checks.equal(f"{name}: status", status, 207)
            checks.equal(f"{name}: type", kind, "application/x-ndjson")
            return [json.loads(result) for result in results if result.strip()]

        return whole(checks, name, checks.attempt(f"{name}: answer", all_of_it))

    for case in cases("lines"):
        want = expected(case)
        results, summary = answer(case["name"], iter([line(operation) for operation in case["operations"]]))
        check_results(checks, case, results, want)
        check_summary(checks, case["name"], summary, want)

    # A result is sent as soon as it is there.
    results, _ = answer("order", iter([line({"path": "/slow/200"}), line({"path": "/slow/0"}), line({"path": "/slow/90"})]))
    checks.equal("order: as they end", [result.get("index") for result in results], [1, 2, 0])

    # Lines that are none, between others: each has its place.
    bad = [b"{\n", b'{"path":"/users/1"}\n', b"\n", b"5\n", b'{"path":"/users/\xff"}\n', b"   \r\n",
           b'{"path":"/echo","method":"POST","body":"' + b"x" * (1 << 20) + b'"}\n', b'{"path":"/users/2"}\r\n', b'{"path":"/users/3"}']
    results, summary = answer("bad lines", iter(bad))
    want = [400, 200, 400, 400, 413, 200, 200]
    checks.equal("bad lines: statuses", [result.get("status") for result in sorted(results, key=lambda r: r.get("index", -1))], want)
    checks.equal("bad lines: indexes", sorted(result.get("index", -1) for result in results), list(range(len(want))))
    checks.equal("bad lines: summary", summary, {"total": 7, "succeeded": 3, "failed": 4})

    # More of them than the server remembers.
    results, summary = answer("many", (line({"id": f"n{i}", "path": f"/users/{i % 5}"}) for i in range(LONG)))
    checks.equal("many: all of them", sorted(result.get("index", -1) for result in results), list(range(LONG)))
    checks.equal("many: each by its id", sum(result.get("id") != f"n{result.get('index')}" for result in results), 0)
    alone = [direct("GET", f"/users/{i}").status for i in range(5)]
    checks.equal("many: statuses", sum(result.get("status") != alone[result.get("index", 0) % 5] for result in results), 0)
    checks.equal("many: total", (summary or {}).get("total"), LONG)

    if while_writing:
        dialogue(checks, exchange)
    broken_off(checks)


def whole(checks, name, lines):
    """Results and summary of an answer that has come to its end."""
    lines = lines or []
    checks.true(f"{name}: the last line is a summary", lines and "summary" in lines[-1])
    checks.equal(f"{name}: and no other", sum("summary" in line for line in lines), 1)
    return [line for line in lines if "summary" not in line], lines[-1].get("summary") if lines else None


def dialogue(checks, exchange):
    """Each operation is written only when the result of the one before has been read."""
    lines = queue.Queue()
    seen = []

    def talk():
        lines.put(line({"path": "/users/1"}))
        status, _, results = exchange(iter(lines.get, None))
        for result in results:
            if not result.strip():
                continue
            seen.append(json.loads(result))
            if len(seen) == 20:
                lines.put(None)
            elif len(seen) < 20:
                lines.put(line({"path": f"/users/{len(seen) % 4}"}))

    talking = threading.Thread(target=lambda: checks.attempt("dialogue", talk), daemon=True)
    talking.start()
    talking.join(10)
    checks.equal("dialogue: came to its end", talking.is_alive(), False)
    lines.put(None)
    checks.equal("dialogue: results", [entry.get("index") for entry in seen], [*range(20), None])
    checks.equal("dialogue: statuses", [entry.get("status") for entry in seen[:20]],
                 [200] + [direct("GET", f"/users/{i % 4}").status for i in range(1, 20)])


def broken_off(checks):
    """Of a request that ends within a line, the operations before are carried out, and that one is not."""
    before = direct("GET", "/users/2", base=TARGET)
    half = b'{"method":"PATCH","path":"/users/1","body":{"name":"Whole"}}\n{"method":"DELETE","path":"/users/2"}'
    with socket.create_connection((urlsplit(TARGET).hostname, urlsplit(TARGET).port)) as connection:
        connection.sendall(b"POST /batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n"
                           b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(half), half))
        connection.settimeout(10)
        got = b""
        while b'"status":200' not in got:
            piece = checks.attempt("broken off: first result", lambda: connection.recv(65536))
            if not piece:
                break
            got += piece
        checks.true("broken off: first result", b'"status":200' in got)
    time.sleep(0.05)
    after = direct("GET", "/users/2", base=TARGET)
    checks.equal("broken off: nothing of half a line", (after.status, after.body), (before.status, before.body))
    direct("PATCH", "/users/1", {"content-type": "application/json"}, b'{"name":"Whole"}')
    changed, alone = direct("GET", "/users/1", base=TARGET), direct("GET", "/users/1")
    checks.equal("broken off: what was whole", changed.body, alone.body)
