"""From the configuration files of a running deployment to its zmount.conf, pure."""
