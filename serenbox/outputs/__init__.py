"""Where readings go: one interface over standard output, MQTT and whatever comes."""
