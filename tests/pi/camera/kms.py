# ruff: noqa: INP001 - copied to where Python finds it by its own name
"""picamera2 imports `kms` for its window; without a window, the names are enough."""


class _Names:
    def __getattr__(self, name: str) -> str:
        return name


PixelFormats = _Names()
PixelFormat = _Names()
