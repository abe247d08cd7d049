"""``python -m zmount``."""

from zmount.cli.app import main

main(prog_name="zmount")
