"""Every request that the description of the API allows, and many that it does not, is answered as it
says: no server error, the promised bodies, wrong values refused.
"""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from loop.project.project import Project
from loop.web.app import build_app
from tests.loop.ingest.test_inbox import watched
from tests.loop.web.test_app import well

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
EXAMPLES = 20
HOST = {"Host": "localhost"}
SEED = 17
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    made = watched(tmp_path_factory.mktemp("described"))
    yield made
    made.engine.dispose()


def operations(project: Project) -> list[schemathesis.APIOperation]:
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", build_app(project, well), headers=HOST)
    return [found.ok() for found in schema.get_all_operations()]


def ask(operation: schemathesis.APIOperation, mode: GenerationMode) -> None:
    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def asked(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS, headers=HOST)

    asked()


def test_the_api_does_what_its_description_says(project: Project) -> None:
    found = operations(project)
    assert len(found) >= 2
    for operation in found:
        for mode in MODES:
            ask(operation, mode)
