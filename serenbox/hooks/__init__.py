"""The owner's commands, run when something happens; see `docs/hooks.md`."""
