"""Where readings go: one interface for standard output, MQTT and all other outputs."""
