"""One training: step, loop, optimizer, schedule, distributed, resume."""
