"""The history: a summary of the mood per minute, kept in a database on the box if enabled."""
