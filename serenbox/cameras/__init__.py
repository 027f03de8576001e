"""Where frames come from: one interface over every kind of camera."""

from serenbox.cameras.base import Camera, Frame

__all__ = ["Camera", "Frame"]
