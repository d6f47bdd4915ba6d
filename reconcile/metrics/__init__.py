"""What is counted for monitoring, and how it is told to Prometheus."""
