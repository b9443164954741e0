"""Protocols: exactly which images train, which are queries and galleries; checked and written down."""

from dgreid.protocols.assemble import build
from dgreid.protocols.tables import Protocol, read_protocol, read_training, write

__all__ = ["Protocol", "build", "read_protocol", "read_training", "write"]
