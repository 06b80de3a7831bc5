"""The same command as `python -m serving`, for those who start the page by its file: `python serving/ui.py`."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    if not __package__:  # run as a script: only this folder is on the path, not the project's
        sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from serving.__main__ import main

    sys.exit(main())
