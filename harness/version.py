"""The version of this package, and the revisions of what decides a number."""

__version__ = "0.1.0"

REVISIONS = {"training": 2, "prediction": 1}
"""By concern; raised when code changes a number. A component and a metric have their own revision."""
