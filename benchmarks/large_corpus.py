"""Peak anonymous memory of preparing and training on a large text file.

Writes a text file of the asked size, runs a small study on it, and prints the peak of RssAnon
summed over the whole process tree (pages that a fork shares are counted in each process).

    python benchmarks/large_corpus.py [--megabytes 1024] [--document line] [--quality]
        [--compress zst]
"""

import argparse
import lzma
import random
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

import psutil
import pyarrow as pa
from commands import workbench

from workbench.data.opening import COMPRESSIONS

RECIPE = """
[study]
name = "large"

[data]
corpus = "{corpus}"
document = "{document}"
{quality}
unique_tokens = {unique_tokens}
seq_len = 64
validation_tokens = 32_768

[model]
size = "0.2M"

[training]
objective = "ar"
total_tokens = 204_800
batch_size = 32
lr = 3e-3

[evaluation]
points = 2

[sweep]
"training.objective" = ["ar", "mdlm"]
"""


def write_text(path: Path, megabytes: int) -> None:
    """Lines of words, a blank line now and then, few of them twice."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghij", k=rng.randint(2, 9))) for _ in range(5000)]
    with open(path, "w") as file:
        while file.tell() < megabytes << 20:
            block = [" ".join(rng.choices(words, k=rng.randint(3, 12))) for _ in range(20_000)]
            file.write("\n".join(block) + "\n\n")


def compressed(path: Path, ending: str) -> Path:
    """The same text in a file that is compressed, in place of the plain one."""
    target = path.with_name(f"{path.name}.{ending}")
    codec = COMPRESSIONS[f".{ending}"]
    xz, arrow = partial(lzma.open, mode="wb"), partial(pa.output_stream, compression=codec)
    with open(path, "rb") as plain, (xz if codec == "xz" else arrow)(target) as out:
        shutil.copyfileobj(plain, out, 1 << 20)
    path.unlink()
    return target


def anonymous_mib(process: psutil.Process) -> float:
    """RssAnon of a process and all below it."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            for line in Path(f"/proc/{one.pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    total += int(line.split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return total / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--document", choices=["line", "blank-line"], default="line")
    parser.add_argument("--quality", action="store_true", help="Score and cut into tiers.")
    parser.add_argument("--compress", choices=[ending[1:] for ending in COMPRESSIONS])
    arguments = parser.parse_args()
    quality = 'quality = "high"\nquality_score = "builtin"' if arguments.quality else ""
    with tempfile.TemporaryDirectory() as folder:
        corpus, recipe = Path(folder, "corpus.txt"), Path(folder, "large.toml")
        write_text(corpus, arguments.megabytes)
        size = corpus.stat().st_size / 2**20
        if arguments.compress:
            corpus = compressed(corpus, arguments.compress)
        recipe.write_text(
            RECIPE.format(
                corpus=corpus,
                document=arguments.document,
                quality=quality,
                unique_tokens=arguments.megabytes * 100_000 // 4,
            )
        )
        began = time.monotonic()
        study = psutil.Popen(workbench("run", recipe, "--results", folder))
        peaks = {"preparing": 0.0, "training": 0.0}
        seconds = {"preparing": 0.0, "training": 0.0}
        while study.poll() is None:
            stage = "training" if any(Path(folder).glob("runs/*")) else "preparing"
            try:
                peaks[stage] = max(peaks[stage], anonymous_mib(study))
            except psutil.NoSuchProcess:
                break
            seconds[stage] = time.monotonic() - began
            time.sleep(0.05)
        print(f"{size:.0f} MiB of text, one document a {arguments.document}, status {study.wait()}")
        print(f"preparing: {seconds['preparing']:.0f} s, peak {peaks['preparing']:.0f} MiB")
        print(f"training: peak {peaks['training']:.0f} MiB")


if __name__ == "__main__":
    main()
