"""Another client of the LMS, as a process of its own: how long it waits for each of its requests.

    python -m benchmarks.visitor HOST:PORT REQUESTS CLIENTS

So many clients ask one thing after the other; prints when each request began (monotonic seconds)
and the milliseconds that it took, as JSON. With 0 for
REQUESTS they ask until standard input closes.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor


def ask(address: str, times: int, enough: threading.Event) -> list[tuple[float, float]]:
    """One client's requests."""
    connection = http.client.HTTPConnection(address, timeout=60)
    body = json.dumps({"doctype": "LMS Course", "filters": [["name", "in", ["python-basics"]]]})
    waits: list[tuple[float, float]] = []
    while not enough.is_set() and (not times or len(waits) < times):
        began = time.monotonic()
        connection.request("POST", "/api/method/frappe.client.get_list", body=body)
        connection.getresponse().read()
        waits.append((began, 1000 * (time.monotonic() - began)))
    connection.close()
    return waits


def main() -> None:
    """Ask, then tell."""
    address, requests, clients = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    enough = threading.Event()
    with ThreadPoolExecutor(clients) as pool:
        asking = [pool.submit(ask, address, requests // clients, enough) for _ in range(clients)]
        if not requests:
            sys.stdin.read()
            enough.set()
        print(json.dumps([wait for each in asking for wait in each.result()]))


if __name__ == "__main__":
    main()
