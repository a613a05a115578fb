"""An upstream that is not Rust. It prints its port, counts operations by their ids, and tells the counts at /counts."""

import collections
import http.server
import json
import threading
import time
import urllib.parse

counts = collections.Counter()
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        target = urllib.parse.urlsplit(self.path)
        if target.path == "/counts":
            with lock:
                body = json.dumps(counts).encode()
        else:
            with lock:
                counts[target.path.rsplit("/", 1)[-1]] += 1
            time.sleep(int(urllib.parse.parse_qs(target.query).get("ms", ["0"])[0]) / 1000)
            body = b'{"upstream":"python"}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
