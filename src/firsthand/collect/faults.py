"""What can be wrong with what a client sends: one exception, one code and one status each."""

from firsthand.personal import mask_text


class Fault(Exception):
    """A refusal.

    `path` is where in the body the fault lies (`$.batch[3].event`), if it lies in the body; `retry_after` is the
    number of seconds after which the same request may be taken; `allow` are the methods that a path does take.
    """

    def __init__(
        self, status: int, code: str, message: str, path: str | None = None, retry_after: int = 0, allow: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        # It may name what was sent.
        self.message = mask_text(message)
        self.path = path and mask_text(path)
        self.retry_after = retry_after
        self.allow = allow

    def as_json(self) -> dict[str, object]:
        return {"code": self.code, "message": self.message, "path": self.path}
