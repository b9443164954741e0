"""Protocols: exactly who trains and who is searched in whom, checked and written down."""

from dgreid.protocols.assemble import build
from dgreid.protocols.tables import Protocol, read_protocol, read_training, write

__all__ = ["Protocol", "build", "read_protocol", "read_training", "write"]
