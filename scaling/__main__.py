"""`python -m scaling` is the `scaling` command."""

import sys

from scaling_forecast import main

sys.exit(main())
