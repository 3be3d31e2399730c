"""`python -m harness`, which torchrun needs."""

from harness.cli.app import main

main()
