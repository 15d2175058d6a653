"""A copy of the project, as a clone has it."""

import shutil
import subprocess
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def copy_checkout(folder: Path) -> None:
    """Copy what is in git, or would be."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
