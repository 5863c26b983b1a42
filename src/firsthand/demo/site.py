"""Serves the sample shop of `examples/shop`, which sends to the demo's gateway."""

import mimetypes
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

HOST = "127.0.0.1"
WRITTEN_FOR = "http://127.0.0.1:8080"
"""The collector's address that stands in the pages."""
# In an installed package the pages lie beside this file.
FOLDERS = (Path(__file__).parent / "pages", Path(__file__).parents[3] / "examples" / "shop")


class Site:
    """The shop's pages at a port, from entering to leaving. `collector` and `vendors` are addresses without a path:
    where the pages send to, and whose script a sync may load."""

    def __init__(self, port: int, collector: str, vendors: str) -> None:
        self._files = {path: _content(file, collector) for path, file in _files().items()}
        policy = (
            f"default-src 'self'; script-src 'self' {collector} {vendors}; connect-src 'self' {collector};"
            f" img-src 'self' data: {collector} {vendors}; base-uri 'none'; frame-ancestors 'none'"
        )
        files, headers = self._files, {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_GET(self) -> None:
                found = files.get(self.path.partition("?")[0])
                kind, body = found or files["/404.html"]
                self.send_response(200 if found else 404)
                for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *about: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, port), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}/"

    def __enter__(self) -> "Site":
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _files() -> dict[str, Path]:
    """The shop's files by their paths in addresses."""
    folder = next(folder for folder in FOLDERS if folder.is_dir())
    found = {f"/{file.relative_to(folder).as_posix()}": file for file in folder.rglob("*") if file.is_file()}
    return {**found, "/": folder / "index.html"}


def _content(file: Path, collector: str) -> tuple[str, bytes]:
    """Its media type, and what it holds."""
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    body = file.read_bytes()
    if kind.startswith("text/"):
        kind = f"{kind}; charset=utf-8"
    return kind, body.replace(WRITTEN_FOR.encode(), collector.encode()) if file.suffix == ".html" else body
