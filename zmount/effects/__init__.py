"""The only hands: disk, processes, sockets."""
