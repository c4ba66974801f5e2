"""A scene keeps its name from run to run."""

from __future__ import annotations

import numpy as np

from loop.math.bias.scene_clusters import scene_clusters
from loop.math.bias.scene_matching import names_of_scenes
from tests.loop.math.bias.test_scene_clusters import views


def test_names_last_whatever_the_order() -> None:
    before = {"yard": [1, 2, 3], "gate": [4, 5, 6]}
    assert names_of_scenes([[4, 5, 6, 7], [1, 2, 3, 8]], ["x", "y"], before) == ("gate", "yard")


def test_what_is_new_is_named_and_no_name_stands_twice() -> None:
    before = {"gate": [1, 2, 3, 4]}
    assert names_of_scenes([[1, 2], [3, 4], [9]], ["gate"] * 3, before) == ("gate", "gate (2)", "gate (3)")
    assert names_of_scenes([[1], [2]], ["a", "a"], {}) == ("a", "a (2)")
    assert names_of_scenes([], [], before) == ()


def test_days_that_one_run_did_not_look_at_say_nothing() -> None:
    """Of many days each run looks at some."""
    before = {"gate": list(range(100)), "yard": list(range(200, 300))}
    now = [[*range(250, 260), *range(1000, 1100)], [*range(90, 95), *range(2000, 2100)]]
    assert names_of_scenes(now, ["x", "y"], before) == ("yard", "gate")


def test_a_scene_that_falls_apart_is_one_of_its_parts_at_most() -> None:
    before = {"gate": list(range(12))}
    assert names_of_scenes([list(range(7)), list(range(7, 12))], ["n", "n"], before) == ("gate", "n")
    thirds = [list(range(start, start + 4)) for start in (0, 4, 8)]
    assert "gate" not in names_of_scenes(thirds, ["n"] * 3, before)


def test_names_last_while_days_come_in() -> None:
    """By another seed and with a third of the days more, places keep what they are called."""
    vectors, presence, group, place = views(3, object_size=2.0)
    kept = []
    names: dict[str, list[int]] = {}
    for seed, days in ((1, 16), (2, 20), (3, 24)):
        own = group < days
        scene = scene_clusters(vectors[own], presence[own], group[own], seed)
        groups = [np.unique(group[own][scene == one]).tolist() for one in range(scene.max() + 1)]
        like = [f"place {place[group == days_of[0]][0]}" for days_of in groups]
        told = names_of_scenes(groups, like, names)
        names = dict(zip(told, groups, strict=True))
        kept.append({name: int(place[group == days_of[0]][0]) for name, days_of in names.items()})
    for name, where in kept[0].items():
        assert all(later.get(name, where) == where for later in kept[1:])
    assert len(set(kept[0]) & set(kept[2])) >= 3
