"""What a client is told when it cannot have what it asks for, as OpenAI's interface says it."""

from typing import Any


class ApiError(Exception):
    """Answered with ``status`` and a body that OpenAI's clients read."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None,
                 headers: dict[str, str] | None = None):
        """``param`` is the field that is wrong, ``code`` a short name of what is."""
        super().__init__(message)
        self.status, self.param, self.code, self.headers = status, param, code, headers or {}

    def body(self) -> dict[str, Any]:
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(self.status)
        kind = kind or ("server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}
