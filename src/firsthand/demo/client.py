"""The little HTTP that the demo speaks itself, with the standard library's client."""

import http.client
import json
from typing import Any, NamedTuple

TIMEOUT = 10.0


class Answer(NamedTuple):
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One kept connection. A request that finds it closed is made once more on a new one."""

    def __init__(self, host: str, port: int) -> None:
        self._http = http.client.HTTPConnection(host, port, timeout=TIMEOUT)

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        sent = {"content-type": "application/json", **(headers or {})}
        for attempt in (1, 2):
            try:
                self._http.request(method, path, data, sent)
                answer = self._http.getresponse()
                return Answer(answer.status, answer.read())
            except (http.client.HTTPException, ConnectionError):
                self._http.close()
                if attempt == 2:
                    raise
        raise AssertionError

    def close(self) -> None:
        self._http.close()


def get(host: str, port: int, path: str) -> Answer:
    connection = Connection(host, port)
    try:
        return connection.request("GET", path)
    finally:
        connection.close()
