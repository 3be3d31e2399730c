"""Speed, cost and time to quality."""
