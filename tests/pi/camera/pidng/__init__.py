"""picamera2 imports `pidng` for raw files, which nobody writes here."""
