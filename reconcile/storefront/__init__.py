"""The storefront's side: orders, its retry queue and our leases, in MongoDB.

Begin at `source`, which runs read and write through; `orders` is for looking things up, `documents` reads
one order.
"""
