"""The web page: what the box senses, live, for whoever opens it in a browser."""
