"""Make ``knowledge/weights/background.txt.gz`` again from law texts.

    python bench/build_background.py CORPUS.jsonl.gz… > /dev/null

Each corpus holds lines ``{id, title, heading, text, document}``. Laws, regulations and rules are outside copyright
(著作权法 art. 5); only counts of tokens are kept, and only of tokens that stand in at least 12 passages.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from pathlib import Path

from knowledge import analysis

LEAST = 12
TARGET = Path(__file__).parents[1] / "knowledge" / "weights" / "background.txt.gz"


def main(paths: list[str]) -> None:
    words: Counter[str] = Counter()
    bigrams: Counter[str] = Counter()
    seen: set[str] = set()
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if row["text"] in seen:
                    continue
                seen.add(row["text"])
                text = analysis.normalise("\n".join((row["title"], row["heading"], row["text"])))
                words.update(set(analysis.words(text)))
                bigrams.update(set(analysis.bigrams(text)))
    out = [
        "# In how many passages of Chinese law text a token stands (words: w, character bigrams: b).",
        "# Source: laws, regulations and judicial interpretations of the People's Republic of China (no copyright,",
        f"# 著作权法 art. 5), {len(seen)} distinct articles; tokens by knowledge/analysis.py version {analysis.VERSION};",
        f"# tokens in fewer than {LEAST} passages are left out. Made by bench/build_background.py.",
        f"# passages {len(seen)}",
    ]
    for kind, counts in (("w", words), ("b", bigrams)):
        groups: dict[int, list[str]] = {}
        for token, count in counts.items():
            if count >= LEAST:
                rounded = count if count < 100 else int(float(f"{count:.2g}"))
                groups.setdefault(rounded, []).append(token)
        out += [f"{kind}\t{count}\t{' '.join(sorted(groups[count]))}" for count in sorted(groups)]
    TARGET.write_bytes(gzip.compress("\n".join(out).encode("utf-8"), 9, mtime=0))
    print(f"{TARGET.stat().st_size} bytes, {len(seen)} passages", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
