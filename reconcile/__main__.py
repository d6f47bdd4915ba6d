"""`python -m reconcile` is the console script."""

from __future__ import annotations

from reconcile.cli import main

if __name__ == "__main__":
    main()
