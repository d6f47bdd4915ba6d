"""Working in-memory implementations of the ports; the contract suites keep them honest."""
