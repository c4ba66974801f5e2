from __future__ import annotations

import json

from benchmarks.duplicates import PAGE, RESULTS, page


def test_the_page_is_what_the_files_say() -> None:
    results = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(RESULTS.glob("*.json"))]
    assert results
    assert PAGE.read_text(encoding="utf-8") == page(results)
