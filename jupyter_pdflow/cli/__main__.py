"""``python -m jupyter_pdflow.cli``, the same as ``jupyter pdflow``."""

from __future__ import annotations

import sys

from jupyter_pdflow.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
