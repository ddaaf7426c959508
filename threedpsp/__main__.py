"""`python -m threedpsp`."""

import sys

from .cli import main

sys.exit(main())
