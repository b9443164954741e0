"""Entry point of `python -m dgreid.cli`."""

import sys

from dgreid.cli.main import main

sys.exit(main())
