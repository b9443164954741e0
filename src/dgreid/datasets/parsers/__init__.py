"""One parser per data set. A file here is a parser; nothing else registers it."""
