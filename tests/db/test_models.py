"""Which checkpoint is in production, and the way back."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from db.engine import write
from db.errors import Conflict, StateError
from db.models import (
    add_model,
    deploy,
    deployed,
    deployments,
    model,
    models,
    move_model,
    previous_deployment,
)
from db.states import ModelStatus


def three(engine: Engine) -> tuple[int, int, int]:
    with write(engine) as session:
        a = add_model(session, "a" * 64, "models/a.pt", ["person", "helmet"])
        b = add_model(session, "b" * 64, "models/b.pt", ["person", "helmet"], parent=a)
        c = add_model(session, "c" * 64, "models/c.pt", ["person", "helmet"], parent=b)
    return a, b, c


def test_a_checkpoint_is_stored_once(engine: Engine) -> None:
    a, b, _ = three(engine)
    with write(engine) as session:
        assert add_model(session, "a" * 64, "other.pt", ["cat"], ModelStatus.REJECTED) == a
        stored = models(session)
        assert model(session, b) == stored[1]
    assert (stored[0].path, stored[0].classes, stored[0].status) == (
        "models/a.pt",
        ("person", "helmet"),
        "candidate",
    )
    assert [row.parent_id for row in stored] == [None, a, b]


def test_deploying_retires_the_former(engine: Engine) -> None:
    a, b, _ = three(engine)
    with write(engine) as session:
        assert deployed(session) is None
        assert deploy(session, a, "init")
        assert deploy(session, b, "round 1", expected=a)
        assert not deploy(session, b, "round 1")
        assert [row.status for row in models(session)] == ["retired", "deployed", "candidate"]
        assert [(row.model_id, row.reason) for row in deployments(session)] == [(a, "init"), (b, "round 1")]
        assert deployed(session) == model(session, b)


def test_a_candidate_judged_against_another_model_is_not_deployed(engine: Engine) -> None:
    a, b, c = three(engine)
    with write(engine) as session:
        deploy(session, a, "init")
        deploy(session, b, "by hand")
        with pytest.raises(Conflict, match=f"expected model {a} in production, got {b}; judge again"):
            deploy(session, c, "round 1", expected=a)
        assert deployed(session) == model(session, b)


def test_going_back_twice_goes_back_two_steps(engine: Engine) -> None:
    a, b, c = three(engine)
    with write(engine) as session:
        assert previous_deployment(session) is None
        deploy(session, a, "init")
        assert previous_deployment(session) is None
        deploy(session, b, "round 1")
        deploy(session, c, "round 2")
        for expected in (b, a):
            former = previous_deployment(session)
            assert former is not None
            assert former.id == expected
            deploy(session, former.id, "rollback")
        assert previous_deployment(session) is None
        deploy(session, c, "round 3")
        former = previous_deployment(session)
    assert former is not None
    assert former.id == a


def test_a_status_moves_by_compare_and_set(engine: Engine) -> None:
    a, _, _ = three(engine)
    with write(engine) as session:
        assert move_model(session, a, ModelStatus.CANDIDATE, ModelStatus.REJECTED)
        assert not move_model(session, a, ModelStatus.CANDIDATE, ModelStatus.REJECTED)


def test_an_unknown_model_is_named(lite: Engine) -> None:
    with (
        write(lite) as session,
        pytest.raises(StateError, match="expected a model, got the unknown id 9; see"),
    ):
        deploy(session, 9, "init")
