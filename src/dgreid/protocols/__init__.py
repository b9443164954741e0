"""Protocols: exactly which images train, and which are queries and gallery; checked and stored."""

from dgreid.protocols.assemble import build
from dgreid.protocols.tables import Protocol, read_protocol, read_training, write

__all__ = ["Protocol", "build", "read_protocol", "read_training", "write"]
