"""The service: everything together, for months."""
