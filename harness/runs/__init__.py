"""From a request to a finished cell."""
