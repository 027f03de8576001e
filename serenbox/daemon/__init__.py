"""The service, which ties everything together and runs for months."""
