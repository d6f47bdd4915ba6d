"""The storefront's own client of the LMS: a POST to `confirm_payment`, or the bare error of one."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from reconcile.sandbox.shop.lms_errors import TIMEOUT, UNREACHABLE, api_error

_PATH = "/api/method/lms.lms.payment_confirmation.confirm_payment"
_UNKNOWN = "Unknown error"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the LMS said: the enrollment's name, or else an error in the shop's words."""

    enrollment_id: str | None = None
    error: str = ""


class LmsClient:
    """Calls one LMS. Holds no connection, so that any number of threads may share it."""

    def __init__(self, url: str, *, api_key: str | None = None, timeout: float = 15.0) -> None:
        """Without a key there is no `Authorization` header: the method needs none; a wrong one breaks it."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        self._connection = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._host, self._path = parts.netloc, parts.path.rstrip("/") + _PATH
        self._timeout = timeout
        self._headers = {"Content-Type": "application/json", "Accept": "*/*"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"

    def confirm(self, payload: Mapping[str, Any]) -> Told:
        """Ask the LMS to enroll. Never raises: whatever goes wrong is an error text.

        Only what has a value is sent. After a time-out the LMS may still be at it; the shop does not
        look whether it was.
        """
        body = json.dumps({name: value for name, value in payload.items() if value is not None})
        connection = self._connection(self._host, timeout=self._timeout)
        try:
            connection.request("POST", self._path, body=body, headers=self._headers)
            answer = connection.getresponse()
            return _read(answer.status, answer.reason, answer.read())
        except TimeoutError:
            return Told(error=TIMEOUT)
        except (OSError, http.client.HTTPException):
            return Told(error=UNREACHABLE)
        finally:
            connection.close()


def _read(status: int, reason: str, body: bytes) -> Told:
    """The answer, wrapped in `message` or not; business refusals come with 200."""
    text = body.decode("utf-8", "replace")
    if not 200 <= status < 300:
        return Told(error=api_error(status, reason, text))
    try:
        answer = json.loads(text)
    except ValueError:
        return Told(error=f"Unexpected token '{text[:1]}', \"{text[:10]}\"... is not valid JSON")
    if isinstance(answer, dict) and isinstance(answer.get("message"), dict):
        answer = answer["message"]
    if not isinstance(answer, dict):
        return Told(error=_UNKNOWN)
    name = answer.get("enrollment_id")
    if answer.get("success") is True and isinstance(name, str) and name:
        return Told(enrollment_id=name)
    return Told(error=str(answer.get("error") or _UNKNOWN))
