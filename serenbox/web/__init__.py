"""The web page: what the box senses, live in a browser."""
