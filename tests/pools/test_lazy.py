"""Finding and serving items loads nothing heavy."""

import subprocess
import sys
from pathlib import Path

import pytest

from asktell import pools

HEAVY = ("torch", "numpy", "pyarrow", "PIL", "sklearn", "onnxruntime", "tokenizers", "safetensors")
SERVED = """
import sys
from pathlib import Path
from asktell.errors import ContentError
from asktell.pools import image_file, open_image, read_images, read_table
folder = Path(sys.argv[1])
(folder / "t.csv").write_text("text\\nowl\\n")
assert read_table(folder / "t.csv", text="text").values == ["owl"]
try:
    image_file(folder, "t.csv")
except ContentError:
    pass
assert len(read_images(folder)) == 0
"""


def loaded(code: str, *words: str) -> set[str]:
    program = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    return set(done.stdout.split()) & set(HEAVY)


def test_importing_the_sources_loads_nothing_heavy() -> None:
    assert loaded("import asktell.pools, asktell.pools.sources, asktell.pools.images, asktell.pools.models") == set()


def test_finding_and_serving_images_and_texts_loads_pillow_alone(tmp_path: Path) -> None:
    assert loaded(SERVED, str(tmp_path)) == {"PIL"}


def test_every_public_name_is_there() -> None:
    for name in pools.__all__:
        assert getattr(pools, name).__name__ == name
    assert dir(pools) == sorted(pools.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'embedder'"):
        _ = pools.embedder
