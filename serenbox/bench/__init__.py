"""How fast, how light and how quick to start the service is on this machine: `serenbox bench`."""
