"""From single faces to a mood: tracking, smoothing over time, and the decision."""
