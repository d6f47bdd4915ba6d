"""What an e-mail address must look like to be sent to the LMS: email-validator's syntax rules.

Only the syntax: no DNS look-up (an address is not wrong because a name server is down), and no
refusal of special domains (the LMS may well hold accounts there).
"""

from __future__ import annotations

import email_validator
from email_validator import EmailNotValidError, validate_email

# The library's documented switch: its list also refuses .local, .test and other names by which a
# company's own LMS may well know its people. `.invalid` alone can never be anybody's (RFC 6761).
email_validator.SPECIAL_USE_DOMAIN_NAMES[:] = ["invalid"]


def email_problem(address: str) -> str | None:
    """What is wrong with a normalised address, or None. Never raises, never repeats the address."""
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
