"""Where readings go: one interface over standard output, MQTT and whatever comes."""

from serenbox.outputs.base import Output

__all__ = ["Output"]
