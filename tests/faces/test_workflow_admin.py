"""Workflows in the admin."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.translation import override

from taskworks import Workflow, WorkflowResult
from taskworks.actions.workflows_shown import StepShown
from taskworks.admin import workflow_admin
from taskworks.dashboard import workflow_graph
from taskworks.models import RunState, TaskRun
from taskworks.models import Workflow as Row
from tests.faces.conftest import client_of_reader
from tests.faces.test_workflows_command import nightly, work
from tests.workflows import tasks
from tests.workflows.tasks import step

pytestmark = pytest.mark.django_db

LIST = "/admin/taskworks/workflow/"
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_fails() -> Any:
    yield
    tasks.executed.clear()
    tasks.failing.clear()


@pytest.fixture
def reader(client: Client) -> Client:
    return client_of_reader(client, "view_workflow")


def page(client: Client, url: str = LIST, **query: Any) -> str:
    response = client.get(url, query)
    assert response.status_code == 200
    return response.content.decode()


def address(result: Any, view: str = "change", *arguments: str) -> str:
    return reverse(f"admin:taskworks_workflow_{view}", args=[result.id, *arguments])


def page_of(client: Client, result: Any) -> str:
    return page(client, address(result))


def post(client: Client, url: str, **data: Any) -> list[str]:
    """What the admin says after a request."""
    client.cookies.pop("messages", None)  # of those before, which no page has shown
    response = client.post(url, data)
    assert response.status_code == 302, response.content
    return [str(message) for message in get_messages(response.wsgi_request)]


def texts(shown: str) -> str:
    """The text of a page, without tags."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", shown)))


class TestTheList:
    def test_has_those_that_are_in_no_other_with_their_progress(self, admin_client: Client) -> None:
        first = nightly()
        work()
        second = nightly()
        shown = page(admin_client)
        listed = dict.fromkeys(re.findall(rf"{LIST}([0-9a-f-]{{36}})/change/", shown))
        assert [*listed] == [second.id, first.id]
        assert "0 of 6" in shown
        assert '<span class="taskworks-successful">Successful</span>' in shown

    def test_is_filtered_by_status_and_searched_by_name_and_id(self, admin_client: Client) -> None:
        first = nightly()
        work()
        second = Workflow("other")
        second.add("a", step, "a")
        other = second.enqueue()

        def listed(**query: Any) -> set[str]:
            return {*re.findall(rf"{LIST}([0-9a-f-]{{36}})/change/", page(admin_client, **query))}

        assert listed(status="successful") == {first.id}
        assert listed(status="running") == {other.id}
        assert listed(status="stopping") == set()
        assert listed(status="nonsense") == {first.id, other.id}
        assert listed(q="other") == listed(q=other.id) == {other.id}
        assert listed(q="oth") == set()

    def test_costs_as_many_queries_for_many(self, admin_client: Client) -> None:
        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                page(admin_client)
            return len(captured)

        nightly()
        before = queries()
        for _ in range(5):
            nightly()
        assert queries() == before

    def test_has_actions(self, admin_client: Client) -> None:
        waiting, ended = nightly(), nightly()
        ended.cancel()
        data = {"action": "cancel", "_selected_action": [waiting.id, ended.id]}
        told = sorted(post(admin_client, LIST, **data))
        assert told == ["2 workflows: asked to stop."]
        work()
        told = sorted(post(admin_client, LIST, **{**data, "action": "retry"}))
        assert told == ["2 workflows: retried."]

    def test_handles_a_bounded_number(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(workflow_admin, "MAX_PER_ACTION", 1)
        ids = [nightly().id, nightly().id]
        told = post(admin_client, LIST, action="cancel", _selected_action=ids)
        assert told[-1].startswith("Only the first 1 of the selected workflows were handled.")


class TestThePage:
    def test_has_the_steps_and_what_each_waits_for(self, admin_client: Client) -> None:
        result = nightly(metadata={"<b>": 1})
        text = texts(page_of(admin_client, result))
        for words in (
            "extract Ready . It waits for a worker.",
            "transform Blocked , 0 of 2. It waits for 'extract'.",
            "month Blocked , 0 of 1. It waits for 'load'.",
            "tidy Blocked . It waits for the end of 'load'.",
            "0 of 6",
            "5 Blocked, 1 Ready".replace(", ", " , "),
        ):
            assert words in text or words.replace(" ,", ",") in text, words
        assert "<b>" not in page_of(admin_client, result)
        nested = Row.objects.get(name="month")
        assert address(nested) in page_of(admin_client, result)
        assert f'<a href="{address(result)}">nightly</a>' in page_of(admin_client, nested)

    def test_says_what_a_step_took_with_the_decimal_sign_of_the_language(
        self, admin_client: Client
    ) -> None:
        result = nightly()
        work()
        assert TaskRun.objects.update(started_at=NOON, finished_at=NOON + timedelta(seconds=2.5))
        assert ", 2.500 s" in page_of(admin_client, result)
        with override("de"):
            german = admin_client.get(address(result), headers={"accept-language": "de"})
        assert ", 2,500 s" in german.content.decode()

    def test_escapes_names(self, admin_client: Client) -> None:
        flow = Workflow("<i>flow</i>")
        flow.add("<script>alert(1)</script>", step, "a")
        shown = page_of(admin_client, flow.enqueue())
        assert "<script>alert" not in shown
        assert "<i>flow" not in shown

    def test_has_no_inline_style(self, admin_client: Client) -> None:
        assert " style=" not in page_of(admin_client, nightly())

    def test_costs_as_many_queries_for_many_steps(self, admin_client: Client) -> None:
        def queries(number: int) -> int:
            flow = Workflow("many")
            for index in range(number):
                flow.each(f"group {index}", step, [["a"]])
                flow.add(f"step {index}", step, "a")
            result = flow.enqueue()
            with CaptureQueriesContext(connection) as captured:
                page_of(admin_client, result)
            return len(captured)

        queries(1)
        assert queries(2) == queries(40)

    def test_retries_from_a_step(self, admin_client: Client) -> None:
        tasks.failing.add("load")
        result = nightly()
        work()
        tasks.failing.clear()
        shown = page_of(admin_client, result)
        again, here = address(result, "retry_from"), f"?page={result.id}"
        assert f'formaction="{again}{here}" formmethod="post" name="step" value="load"' in shown
        assert f'formaction="{again}{here}" formmethod="post" name="again_from"' in shown
        assert post(admin_client, again, step="load") == ["1 run retried, from the step 'load' on."]
        work()
        told = post(admin_client, again, again_from="transform")
        assert told == ["5 runs retried, from the step 'transform' on."]
        assert post(admin_client, again, step="lod") == [
            "The workflow has no step 'lod'. Did you mean 'load'?"
        ]
        assert post(admin_client, again, step="extract")[0].startswith("Not applicable. None of")
        assert admin_client.post(again, {}).status_code == 404
        assert admin_client.get(again).status_code == 405

    def test_retries_from_a_step_of_a_workflow_within_it(self, admin_client: Client) -> None:
        tasks.failing.add("sum")
        result = nightly()
        work()
        nested = Row.objects.get(name="month")
        url = f"{address(nested, 'retry_from')}?page={result.id}"
        assert url in page_of(admin_client, result)
        response = admin_client.post(url, {"step": "sum"})
        assert response["Location"] == address(result)
        assert TaskRun.objects.filter(state=RunState.READY).count() == 1

    def test_has_buttons_that_apply(self, admin_client: Client) -> None:
        result = nightly()
        shown = page_of(admin_client, result)
        assert address(result, "action", "cancel") in shown
        told = post(admin_client, address(result, "action", "cancel"))
        assert told == ["1 workflow: asked to stop."]
        shown = page_of(admin_client, result)
        assert address(result, "action", "retry") not in shown
        assert "Retry from here" not in shown
        work()
        shown = page_of(admin_client, result)
        assert "Retry from here" in shown
        assert address(result, "action", "cancel") not in shown
        assert post(admin_client, address(result, "action", "retry")) == ["1 workflow: retried."]


class TestPermissions:
    def test_a_reader_sees_and_changes_nothing(self, reader: Client) -> None:
        result = nightly()
        result.cancel()
        work()
        shown = page_of(reader, result)
        assert "Retry" not in shown
        assert "nightly" in page(reader)
        for url in (address(result, "action", "retry"), address(result, "retry_from")):
            assert reader.post(url, {"step": "load"}).status_code == 403
        assert reader.get(f"{LIST}add/").status_code == 403
        assert reader.post(f"{LIST}{result.id}/delete/").status_code == 403
        result.refresh()
        assert result.status == "cancelled"

    def test_others_see_nothing(self, client: Client) -> None:
        client.force_login(User.objects.create_user("other", is_staff=True))
        assert client.get(address(nightly())).status_code == 403

    def test_what_is_not_there_is_not_found(self, admin_client: Client) -> None:
        missing = WorkflowResult(
            id=str(uuid4()),
            name="",
            backend="default",
            status=nightly().status,
            created_at=None,
            finished_at=None,
            metadata={},
        )
        url = address(missing, "retry_from")
        assert admin_client.post(url, {"step": "a"}).status_code == 404


@pytest.mark.any_database
class TestTheGraph:
    def steps(self, **after: str) -> list[StepShown]:
        ids = {name: uuid4() for name in after}
        return [
            StepShown(
                id=ids[name],
                name=name,
                workflow=uuid4(),
                depth=0,
                kind="run",
                state="ready",
                after=[(ids[one], "success") for one in before.split()],
            )
            for name, before in after.items()
        ]

    def test_each_step_stands_right_of_what_it_follows(self) -> None:
        steps = self.steps(a="", b="a", c="a", d="b c", e="a d", f="")
        nodes = workflow_graph.placed(steps)
        columns = {node.step.name: node.column for node in nodes.values()}
        assert columns == {"a": 0, "b": 1, "c": 1, "d": 2, "e": 3, "f": 0}
        places = {(node.column, node.row) for node in nodes.values()}
        assert len(places) == len(steps)

    def test_what_is_connected_comes_side_by_side(self) -> None:
        nodes = workflow_graph.placed(self.steps(a="", b="", x="b", y="a"))
        rows = {node.step.name: node.row for node in nodes.values()}
        assert (rows["a"] < rows["b"]) == (rows["y"] < rows["x"])

    def test_it_is_well_formed_and_says_all_in_words(self) -> None:
        steps = self.steps(a="", b="a", **{"<&>": "a b"})
        drawn = workflow_graph.graph(steps, {steps[0].id: "/page/?a&b"})
        svg = ElementTree.fromstring(drawn)
        space = "{http://www.w3.org/2000/svg}"
        assert len(svg.findall(f".//{space}path")) == 3
        titles = [title.text for title in svg.iter(f"{space}title")]
        assert titles == ["a: ready.", "b: ready.", "<&>: ready."]
        assert [link.attrib for link in svg.iter(f"{space}a")] == [{"href": "/page/?a&b"}]
        assert "style" not in drawn

    def test_a_row_that_names_itself_or_a_later_one_is_drawn(self) -> None:
        nodes = workflow_graph.placed(self.steps(a="b a", b="a"))
        assert [node.column for node in nodes.values()] == [0, 1]

    def test_too_many_steps_are_a_sentence(self) -> None:
        steps = self.steps(**{f"s{number}": "" for number in range(201)})
        assert "more than 200 steps" in workflow_graph.graph(steps, {})
        assert "<svg" in workflow_graph.graph(steps[:200], {})
        assert workflow_graph.graph([], {}) == ""
