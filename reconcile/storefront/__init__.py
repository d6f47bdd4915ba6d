"""The storefront's side: orders, its retry queue and our leases, in MongoDB."""
