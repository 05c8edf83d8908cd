"""The comparisons live beside the benchmarks, because a command prints them too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
