"""The rules of ``zmount check``: each yields what it finds in a topology.

A rule reads nothing but the topology, and takes time in proportion to it.
"""
