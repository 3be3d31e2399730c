"""`python -m harness`, which torchrun needs."""

from harness.cli import main

main()
