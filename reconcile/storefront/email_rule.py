"""What an e-mail address must look like to be sent to the LMS: email-validator's syntax rules.

Only the syntax: no DNS look-up (an address is not wrong because a name server is down), and no
refusal of special domains (the LMS may well hold accounts there).
"""

from __future__ import annotations

import re
from functools import lru_cache

import email_validator
from email_validator import EmailNotValidError, validate_email

# The library's documented switch: its list also refuses .local, .test and other names by which a
# company's own LMS may well know its people. `.invalid` alone can never be anybody's (RFC 6761).
email_validator.SPECIAL_USE_DOMAIN_NAMES[:] = ["invalid"]

#: Plainly right by every rule of the library: ASCII atoms, labels of letters, digits and single hyphens that
#: are not too long, a top-level domain of letters. Nearly every address; the library, which walks over each
#: of its signs many times, is asked about the rest (a test compares the two).
_PLAIN = re.compile(
    r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*"
    r"@(?:(?![^.]{64})[a-z0-9]+(?:-[a-z0-9]+)*\.)+(?!invalid\Z)[a-z]{2,63}"
)
#: Far below what the library allows an address.
_PLAIN_LENGTH = 200


def email_problem(address: str) -> str | None:
    """What is wrong with a normalised address, or None. Never raises, never repeats the address."""
    if len(address) <= _PLAIN_LENGTH and _PLAIN.fullmatch(address) is not None:
        return None
    return asked_library(address)


@lru_cache(maxsize=1024)
def asked_library(address: str) -> str | None:
    """The same, by the library alone; the last answers are kept."""
    if "\ufffd" in address:
        return "holds bytes that are no text"
    try:
        validate_email(address, check_deliverability=False, globally_deliverable=False, allow_smtputf8=True)
    except EmailNotValidError:
        return "is not an e-mail address"
    except (ValueError, RecursionError, OverflowError):  # a label that the IDNA codec chokes on
        return "is not an e-mail address"
    if "." not in address.rpartition("@")[2]:
        return "has no domain that mail could reach"
    return None
