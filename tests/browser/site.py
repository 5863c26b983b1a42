"""The pages of a shop, under any host name, from a port of this machine."""

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

STUB = """\
<script>
  window.firsthand ??= { q: [] };
  for (const name of ["track", "page", "identify", "group", "alias", "reset", "consent", "ready"])
    firsthand[name] ??= (...call) => firsthand.q.push([name, call, Date.now()]);
</script>"""
"""As docs/browser.md gives it."""


class Page(NamedTuple):
    body: bytes
    headers: Mapping[str, str]


class Site:
    """Serves what it was given by `put`, to all host names alike; 404 for the rest."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        pages = self.pages

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                page = pages.get(self.path.partition("?")[0])
                body = page.body if page else b"not found"
                self.send_response(200 if page else 404)
                for name, value in (page.headers if page else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *about: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, path: str, text: str, type: str = "text/html; charset=utf-8", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[path] = Page(text.encode(), {"Content-Type": type, **named})
