"""Options that several commands share."""

from __future__ import annotations

import click

dry_run_option = click.option("--dry-run", is_flag=True, help="Show the plan and do nothing.")
