"""The connection to the storefront's MongoDB."""

from __future__ import annotations

from typing import Any

import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient
from pymongo.database import Database

from reconcile.base.errors import ConfigurationError
from reconcile.storefront.errors import URI_HINT, store_errors

#: Milliseconds. Short: a run that cannot reach MongoDB ends, and the next one tries again.
_SELECT_MS = 5_000
_CONNECT_MS = 5_000
_SOCKET_MS = 30_000


def connect(uri: str, database: str) -> Database[dict[str, Any]]:
    """The database, not yet contacted. Raises ConfigurationError for a URI that cannot be one.

    Broken text and impossible dates in old documents are read, not refused: one bad document must
    not stop the scan.
    """
    options: CodecOptions[dict[str, Any]] = CodecOptions(
        tz_aware=True,
        unicode_decode_error_handler="replace",
        datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    )
    try:
        with store_errors("connecting"):
            client: MongoClient[dict[str, Any]] = MongoClient(
                uri,
                appname="reconcile",
                serverSelectionTimeoutMS=_SELECT_MS,
                connectTimeoutMS=_CONNECT_MS,
                socketTimeoutMS=_SOCKET_MS,
            )
        return client.get_database(database, codec_options=options)
    except ValueError:  # PyMongo's word for a port that is no number; its text may quote the URI
        raise ConfigurationError(
            ["MONGODB_URI is not usable (a host or port that cannot be)"], hint=URI_HINT
        ) from None


def ping(database: Database[dict[str, Any]], *, within: float) -> None:
    """Return if MongoDB answers within so many seconds. Raises StoreUnavailable and ConfigurationError."""
    with store_errors("pinging"), pymongo.timeout(within):
        database.command("ping")
