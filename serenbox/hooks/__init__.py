"""Commands of the owner's that are run when something happens; see `docs/hooks.md`."""
