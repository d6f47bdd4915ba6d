"""What must not be shown: e-mail addresses are masked, registered secrets replaced. Standard library only.

Used by the log, by error messages and by whatever prints. It knows nothing of settings: whoever reads
a secret registers it here.
"""

from __future__ import annotations

import json
import re
import threading
from urllib.parse import quote

REPLACEMENT = "***"
#: Shorter strings are no secrets worth the name, and replacing them would shred every message.
_SHORTEST_SECRET = 4

# What may stand before the @. Runs are taken whole and without backtracking (possessive, and only from
# a run's first character), so that a megabyte of letters costs a megabyte of steps.
_LOCAL = r"\w.!#$%&'*+^`~-"
_EMAIL = re.compile(rf"(?<![{_LOCAL}])([{_LOCAL}]++)@(?=[\w\[])")
_QUOTED_EMAIL = re.compile(r"\"([^\"\r\n@]{1,64})\"@(?=[\w\[])")
_ENCODED_EMAIL = re.compile(
    r"(?<![\w.+-])([\w.+-])[\w.+-]*+(?:%[0-35-9A-Fa-f][0-9A-Fa-f][\w.+-]*+)*+%40(?=\w)"
)
_URL_LOGIN = re.compile(r"(?<=://)[^\s/@]+@")
_AUTHORIZATION = re.compile(r"\b(token|bearer|basic)(\s+)(?=\S*[:\d])[\w.:+/=~-]{8,}", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_lock = threading.Lock()
_secrets: tuple[str, ...] = ()


def register_secret(value: str) -> None:
    """Replace `value` from now on wherever text is redacted, also URL- and JSON-encoded. Idempotent."""
    global _secrets  # noqa: PLW0603  one process has one set of secrets; swapped whole, under a lock
    if len(value) < _SHORTEST_SECRET:
        return
    spellings = {value, quote(value, safe=""), json.dumps(value)[1:-1], repr(value)[1:-1]}
    with _lock:
        # Longest first: a secret may contain another one.
        _secrets = tuple(sorted(spellings.union(_secrets), key=lambda secret: (-len(secret), secret)))


def forget_secrets() -> None:
    """Forget all registered secrets (tests)."""
    global _secrets  # noqa: PLW0603  see register_secret
    with _lock:
        _secrets = ()


def mask_email(text: str) -> str:
    """One address, masked: `s***@example.com`. Of a text without an @, the first letter is left."""
    local, at, domain = text.strip().rpartition("@")
    shown = (local if at else domain)[:1]
    return f"{shown}{REPLACEMENT}{at}{domain if at else ''}" if text.strip() else ""


def mask_emails_in(text: str) -> str:
    """Mask every address in a text; the rest stays as it is. Idempotent, linear in the text's length."""
    if "%40" in text:
        text = _ENCODED_EMAIL.sub(rf"\1{REPLACEMENT}%40", text)
    if "@" not in text:
        return text
    text = _QUOTED_EMAIL.sub(lambda match: f'"{match[1][:1]}{REPLACEMENT}"@', text)
    return _EMAIL.sub(_masked, text)


def _masked(match: re.Match[str]) -> str:
    """Keep punctuation that is no part of the address (an opening quote) and the first letter."""
    run = match[1]
    start = next((index for index, letter in enumerate(run) if letter.isalnum()), len(run) - 1)
    return f"{run[: start + 1].rstrip('*')}{REPLACEMENT}@"


def redact(text: str) -> str:
    """The text without registered secrets, URL logins and Authorization values, addresses masked."""
    for secret in _secrets:
        if secret in text:
            text = text.replace(secret, REPLACEMENT)
    if "://" in text:
        text = _URL_LOGIN.sub(f"{REPLACEMENT}@", text)
    text = _AUTHORIZATION.sub(rf"\1\2{REPLACEMENT}", text)
    return mask_emails_in(text)


def escape_controls(text: str) -> str:
    """The text on one line: control characters, direction marks and lone surrogates escaped.

    What the LMS or a document says cannot forge a log line or move a terminal's cursor.
    """
    return _CONTROL.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    short = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
    code = ord(match[0])
    return short.get(match[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def excerpt(text: str, *, limit: int = 300) -> str:
    """Foreign text for a message of ours: redacted, white space collapsed, one line, at most `limit` long."""
    # Cut first (generously): redaction need not walk through a page of HTML.
    text = escape_controls(redact(" ".join(text[: 20 * limit].split())))
    return text if len(text) <= limit else text[: limit - 1] + "…"
