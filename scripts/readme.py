"""Prints the first fenced block of a language out of a Markdown file."""

import re
import sys

file, language = sys.argv[1:]
with open(file, encoding="utf-8") as stream:
    found = re.search(rf"^```{language}\n(.*?)^```", stream.read(), re.DOTALL | re.MULTILINE)
if found is None:
    sys.exit(f"{file} has no block of {language}")
print(found.group(1), end="")
