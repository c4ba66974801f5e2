"""The published page is what the published results say."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.demo_gain import PAGE, kept, lead, page


def test_the_page_is_made_of_the_files() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(kept("loop"), kept("null"))


def test_the_lead_is_the_mean_over_the_gaps() -> None:
    gaps = [{"ap50": {"loop": 0.6, "random": 0.4}}, {"ap50": {"loop": 0.5, "random": 0.5}}]
    assert lead({"gaps": gaps}) == pytest.approx(0.1)


def test_what_the_readme_claims_of_the_published_worlds() -> None:
    """At least .10 over random labels and every requirement in at least four of five; by chance
    neither side leads.
    """
    results, null = kept("loop"), kept("null")
    met = [all(need["holds"] for need in result["requirements"]) for result in results]
    assert len(results) == 5
    assert sum(met) >= 4
    assert min(map(lead, null)) < 0 < max(map(lead, null))
    assert abs(np.mean(list(map(lead, null)))) < 0.05
