"""Playwright's browser for tests that are not asynchronous: its event loop has a thread of its own.

(Playwright's own synchronous interface leaves an event loop running in the thread it is used in, and then nothing
else there can run one: neither the gateway's readings nor other tests.)
"""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from playwright.async_api import async_playwright

EXECUTABLE = Path("/usr/bin/chromium")
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
"""Chromium's own says that it is headless, and robots are filtered."""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * 127.0.0.1",  # www.shopname.com and all others are this machine
    f"--user-agent={USER_AGENT}",  # for all requests: a page's own setting is not that of what it sends at its end
    "--ignore-certificate-errors",  # for all as well
]


class Waiting:
    """An object of Playwright whose methods wait for their answer, as do those of the objects it gives."""

    def __init__(self, inner: Any, run: Callable[[Awaitable[Any]], Any]) -> None:
        self._inner = inner
        self._run = run

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._wrap(found) if not callable(found) else lambda *args, **named: self._call(found, args, named)

    def _call(self, method: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        async def call() -> Any:
            result = method(*(_bare(arg) for arg in args), **{key: _bare(value) for key, value in named.items()})
            return await result if inspect.isawaitable(result) else result

        return self._wrap(self._run(call()))

    def _wrap(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._wrap(item) for item in value]
        return Waiting(value, self._run) if type(value).__module__.startswith("playwright.async_api") else value


def _bare(value: Any) -> Any:
    return value._inner if isinstance(value, Waiting) else value


class Chromium:
    """The system's Chromium, started when entered. `new_context` makes a visitor who has never been here."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._playwright = self.run(async_playwright().start())
        launch = self._playwright.chromium.launch
        self._browser = self.run(launch(executable_path=str(EXECUTABLE), args=FLAGS, headless=True))
        return self

    def __exit__(self, *error: object) -> None:
        self.run(self._browser.close())
        self.run(self._playwright.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def run(self, waiting: Any) -> Any:
        async def wait() -> Any:
            return await waiting

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result(60)

    def new_context(self, **options: Any) -> Any:
        context = self.run(self._browser.new_context(**{"locale": "en-GB", **options}))
        context.set_default_timeout(15_000)
        return Waiting(context, self.run)
