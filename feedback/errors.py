"""The errors people are told about. Each names the value, the rule and the choices; an outer edge turns it into words."""

from __future__ import annotations


class AmendError(Exception):
    """Base of every error with words for a person.

    `status` is the HTTP status of the problem document, `title` its short name,
    `code` a stable key of the words catalogue (`error.<code>`), and `values` fill its placeholders.
    `str(error)` is the English sentence, for logs and programs.
    """

    status = 500
    title = "Internal error"
    code = ""

    def __init__(self, detail: str, *, code: str = "", values: dict[str, object] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.values = values or {}


class BadInput(AmendError):
    """The caller sent something that breaks a rule; the detail says which."""

    status = 422
    title = "Bad input"


class TooLarge(AmendError):
    """The request or text is larger than a setting allows."""

    status = 413
    title = "Too large"


class Unauthorised(AmendError):
    """Staff only, and nobody proved to be staff."""

    status = 401
    title = "Login needed"


class Forbidden(AmendError):
    """Known, but not allowed (a foreign origin, a blocked contributor)."""

    status = 403
    title = "Not allowed"


class NotFound(AmendError):
    """No such thing, or none that this contributor may see."""

    status = 404
    title = "Not found"


class Conflict(AmendError):
    """It contradicts what is stored already."""

    status = 409
    title = "Conflict"


class TooMany(AmendError):
    """A rate limit; `retry_after` is in whole seconds."""

    status = 429
    title = "Too many requests"

    def __init__(self, detail: str, retry_after: int, *, code: str = "", values: dict[str, object] | None = None) -> None:
        super().__init__(detail, code=code, values=values)
        self.retry_after = retry_after


class Busy(AmendError):
    """The queue is full or a part is not ready; trying again helps. `retry_after` is in whole seconds."""

    status = 503
    title = "Busy"
    code = "busy"

    def __init__(self, detail: str, retry_after: int = 2, *, code: str = "", values: dict[str, object] | None = None) -> None:
        super().__init__(detail, code=code, values=values)
        self.retry_after = retry_after


class StorageFull(AmendError):
    """The disk under the log is full or read-only: nothing was stored, and the caller is told so."""

    status = 507
    title = "Storage full"
    code = "storage_full"


class LogLocked(AmendError):
    """Another process holds the log."""

    status = 423
    title = "Log in use"


class LogBroken(AmendError):
    """The log's file cannot be opened."""

    status = 500
    title = "Log broken"


class BadDemo(AmendError):
    """A demo's TOML or data file breaks a rule; the detail gives file, place, value and rule."""

    status = 422
    title = "Bad demo"
