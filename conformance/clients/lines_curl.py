"""Batches without end, by curl. While it waits for more of its standard input it doesn't look at the answer: no dialogue with
it."""

import subprocess
import threading

from lib import TARGET, Checks
from lines_lib import check_lines

version = subprocess.run(["curl", "--version"], stdout=subprocess.PIPE, text=True).stdout.split()[1]
checks = Checks(curl=version)


def exchange(lines):
    command = ["curl", "--silent", "--show-error", "--no-buffer", "--max-time", "15", "--include", "--upload-file", "-",
               "--request", "POST", "--header", "content-type: application/x-ndjson", "--header", "expect:", f"{TARGET}/batch"]
    curl = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def write():
        try:
            for line in lines:
                curl.stdin.write(line)
                curl.stdin.flush()
            curl.stdin.close()
        except BrokenPipeError:
            pass

    threading.Thread(target=write, daemon=True).start()
    status = int(curl.stdout.readline().split()[1])
    head = {}
    for field in iter(lambda: curl.stdout.readline().strip(), b""):
        name, _, value = field.decode().partition(": ")
        head[name.lower()] = value

    def results():
        yield from curl.stdout
        # An answer that is cut off ends with 18, "partial file", or 56.
        if curl.wait():
            raise ValueError(f"curl ended with {curl.returncode}")

    return status, head.get("content-type"), results()


check_lines(checks, exchange, while_writing=False)
checks.report()
