"""Measures `serenbox serve` under load, and what it does with nonsense."""
