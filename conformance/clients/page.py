"""What docs/clients.md shows: each piece of code that a client is used by, as it stands there, against what stands behind it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from lib import TARGET, Checks

HERE = Path(__file__).parent.parent
PAGE = HERE.parent / "docs" / "clients.md"
# How code in this language is run; it comes by standard input. Node looks for packages from where it runs.
RUN = {"js": [os.environ["NODE"], "--input-type=module", "-"], "python": [sys.executable, "-"]}

checks = Checks()
pieces = re.findall(r"^```(js|python)\n(.*?)^```\n\s*^```text\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
languages = [language for language, *_ in pieces]
checks.equal("pieces that have been found", languages, re.findall(r"^```(js|python)$", PAGE.read_text(), re.MULTILINE))
for index, (language, code, shown) in enumerate(pieces):
    # One after the other: each sees what those before have done.
    code = code.replace("127.0.0.1:3000", urlsplit(TARGET).netloc)
    done = subprocess.run(RUN[language], input=code, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    checks.equal(f"{language} {index}: ends well", (done.returncode, done.stderr), (0, ""))
    for line, (got, want) in enumerate(zip(done.stdout.splitlines(), shown.splitlines())):
        checks.equal(f"{language} {index}: line {line}", got, want)
    checks.equal(f"{language} {index}: all that it prints", done.stdout, shown)
checks.report()
