"""Every request that the description of the API allows, and many that it does not, is answered as it
says: no server error, the promised bodies, wrong values refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import hypothesis
import pytest
import schemathesis
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from loop.changes.audit import Who
from loop.changes.frames import report_error
from loop.project.project import Project, open_project
from loop.web import attempts
from loop.web.guard import TOKEN
from tests.fakes import copy_linked
from tests.loop.web.worker import SECRET, client, exposed

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
EXAMPLES = 5
THERE = {"seq": 40, "number": 1, "name": "ingest"}
HOST = {"Host": "localhost"}
SEED = 17


@pytest.fixture(scope="module")
def project(chosen_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """All is ingested, analyzed and compared, a batch is queued, and a mistake is reported."""
    folder = tmp_path_factory.mktemp("described")
    copy_linked(chosen_template, folder)
    made = open_project(folder / "project")
    report_error(made, Who("a person", "page"), 40, "other", text="behind glass")
    yield made
    made.engine.dispose()


def operations(project: Project, **headers: str) -> list[schemathesis.APIOperation]:
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", client(project).app, headers=HOST | headers)
    return [found.ok() for found in schema.get_all_operations()]


def ask(
    operation: schemathesis.APIOperation,
    mode: GenerationMode,
    checks: Sequence[CheckFunction] = CHECKS,
    examples: int = EXAMPLES,
    there: Mapping[str, object] = {},
    **headers: str,
) -> None:
    """there: what stands in the path where it is to be something that there is."""

    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def asked(case: schemathesis.Case) -> None:
        case.path_parameters.update(
            {name: value for name, value in there.items() if name in case.path_parameters}
        )
        case.call_and_validate(checks=list(checks), headers=HOST | headers)

    asked()


def test_the_api_does_what_its_description_says(project: Project) -> None:
    found = operations(project)
    assert len(found) >= 2
    for operation in found:
        ask(operation, GenerationMode.POSITIVE)
        ask(operation, GenerationMode.POSITIVE, there=THERE)
        with suppress(Unsatisfiable):  # nothing can be wrong where nothing is asked
            ask(operation, GenerationMode.NEGATIVE)


def test_without_the_token_nothing_is_answered(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SECRET)
    monkeypatch.setattr(attempts, "PER_ADDRESS", 10**6)
    monkeypatch.setattr(attempts, "OVER_ALL", 10**6)
    bearer = {"Authorization": f"Bearer {SECRET}"}
    for operation in operations(exposed(project), **bearer):
        ask(operation, GenerationMode.POSITIVE, [ignored_auth], examples=2, **bearer)
