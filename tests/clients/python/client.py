"""Every call of the PyPI package `azure-functions-durable`, against a running host.

Arguments: the base URL of the management API with a slash at its end, and where the links come from:
`rpc` (made up from the base URL) or `templates` (those that the host answers a start with). All
requests of this library go to the base URL; only its links are made of templates. What the library's
users rely on is asserted; the first surprise ends the script.

The library encodes inputs and events twice: its workers get JSON text in a JSON string, and read it.
"""

import asyncio
import json
import sys
import urllib.request
import uuid
from datetime import datetime, timedelta, timezone

import azure.durable_functions as durable
from azure.durable_functions.models.utils import http_utils

BASE, MODE = sys.argv[1:3]
PLACEHOLDER = "INSTANCEID"
QUERY = "taskHub=TestHubName&connection=Storage"
BEGAN = datetime.now(timezone.utc) - timedelta(minutes=1)
Status = durable.OrchestrationRuntimeStatus


def host_links():
    """The links that the host gives for an orchestration, with a placeholder for its id."""
    request = urllib.request.Request(f"{BASE}orchestrators/HelloInline", b'"links"')
    with urllib.request.urlopen(request) as response:
        assert response.status == 202
        links = json.load(response)
    return {
        name: PLACEHOLDER if name == "id" else link.replace(links["id"], PLACEHOLDER)
        for name, link in links.items()
    }


def made_links():
    instance = f"{BASE}instances/{PLACEHOLDER}"
    return {
        "id": PLACEHOLDER,
        "statusQueryGetUri": f"{instance}?{QUERY}",
        "sendEventPostUri": f"{instance}/raiseEvent/{{eventName}}?{QUERY}",
        "terminatePostUri": f"{instance}/terminate?reason={{text}}&{QUERY}",
        "rewindPostUri": f"{instance}/rewind?reason={{text}}&{QUERY}",
        "purgeHistoryDeleteUri": f"{instance}?{QUERY}",
    }


def connect():
    """The client that a function would get."""
    creation = f"{BASE}orchestrators/{{functionName}}[/{{instanceId}}]?{QUERY}"
    context = {
        "taskHubName": "TestHubName",
        "creationUrls": {
            "createNewInstancePostUri": creation,
            "createAndWaitOnNewInstancePostUri": creation
            + "&timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}",
        },
        "managementUrls": made_links() if MODE == "rpc" else host_links(),
        "baseUrl": BASE.rstrip("/"),
        "requiredQueryStringParameters": QUERY,
        "rpcBaseUrl": BASE,
    }
    return durable.DurableOrchestrationClient(json.dumps(context), "an-invocation")


client = connect()


class Request:
    """As much of an HTTP request as the library looks at."""

    url = BASE


def status_of(url):
    with urllib.request.urlopen(url) as response:
        return response.status


async def raises(call, *words):
    try:
        await call
    except Exception as error:  # The library knows no other class.
        assert all(word in str(error) for word in words), f"{words} in {error!r}"
        return
    raise AssertionError(f"nothing was raised, but {words} should be")


async def reached(instance_id, wanted, **options):
    """The status of an orchestration once it is this one."""
    for _ in range(1_500):
        status = await client.get_status(instance_id, **options)
        if status.runtime_status == wanted:
            return status
        await asyncio.sleep(0.02)
    raise AssertionError(f"{instance_id} does not become {wanted}")


async def waited(instance_id, milliseconds=30_000):
    return await client.wait_for_completion_or_create_check_status_response(
        Request, instance_id, milliseconds, min(20, milliseconds)
    )


async def start_and_events():
    instance_id = str(uuid.uuid4())
    assert await client.start_new("StatusBoard", instance_id) == instance_id
    running = await reached(instance_id, Status.Running, show_input=True)
    assert (running.name, running.instance_id, running.input_) == ("StatusBoard", instance_id, None)
    assert running.created_time >= BEGAN - timedelta(seconds=1)
    assert running.last_updated_time >= running.created_time
    await raises(client.start_new("StatusBoard", instance_id), "exists")
    await client.raise_event(instance_id, "show", {"yes": True})
    for _ in range(1_500):
        status = await client.get_status(instance_id)
        if status.custom_status is not None:
            break
        await asyncio.sleep(0.02)
    assert json.loads(status.custom_status) == {"yes": True}
    await client.raise_event(instance_id, "end", "text")
    response = await waited(instance_id)
    assert (response.status_code, response.get_body()) == (200, b"null")
    await raises(client.raise_event(instance_id, "show", 1), "is gone")
    nobody = str(uuid.uuid4())
    await raises(client.raise_event(nobody, "show", 1), f"No instance with ID {nobody} found.")
    await raises(client.start_new("NoSuchOrchestrator"), "doesn't exist")
    absent = await client.get_status(nobody)
    assert not absent and absent.runtime_status is None


async def inputs_and_history():
    instance_id = await client.start_new("HelloActivity", client_input="Ann")
    done = await reached(
        instance_id, Status.Completed, show_history=True, show_history_output=True, show_input=True
    )
    assert json.loads(done.input_) == "Ann"
    assert done.output == 'Hello, "Ann"!'
    events = done.historyEvents
    kinds = [event["EventType"] for event in events]
    assert kinds == ["ExecutionStarted", "TaskCompleted", "ExecutionCompleted"], kinds
    assert events[1]["Result"] == done.output
    plain = await client.get_status(instance_id)
    assert not hasattr(plain, "historyEvents")


async def links():
    instance_id = await client.start_new("StatusBoard")
    response = client.create_check_status_response(Request, instance_id)
    assert response.status_code == 202
    payload = json.loads(response.get_body())
    assert payload["id"] == instance_id
    assert payload["statusQueryGetUri"] == response.headers["Location"]
    assert payload == client.create_http_management_payload(instance_id)
    assert payload == client.get_client_response_links(None, instance_id)
    assert status_of(payload["statusQueryGetUri"]) == 202
    late = await waited(instance_id, 40)
    assert (late.status_code, json.loads(late.get_body())) == (202, payload)
    url = payload["sendEventPostUri"].replace("{eventName}", "end")
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, b"1", headers)) as sent:
        assert sent.status == 202
    await reached(instance_id, Status.Completed)
    purge = urllib.request.Request(payload["purgeHistoryDeleteUri"], method="DELETE")
    with urllib.request.urlopen(purge) as purged:
        assert json.load(purged) == {"instancesDeleted": 1}


async def lifecycle():
    instance_id = await client.start_new("StatusBoard")
    await reached(instance_id, Status.Running)
    await client.suspend(instance_id, "a closer look")
    await reached(instance_id, Status.Suspended)
    await raises(client.suspend(instance_id, "again"), "unexpected status code 409")
    await client.resume(instance_id, "seen")
    await reached(instance_id, Status.Running)
    await raises(client.resume(instance_id, "again"), "unexpected status code 409")
    await client.terminate(instance_id, "say\u014dnara")
    ended = await reached(instance_id, Status.Terminated)
    assert ended.output == "say\u014dnara"
    response = await waited(instance_id)
    assert response.status_code == 200
    assert json.loads(response.get_body())["runtimeStatus"] == "Terminated"
    nobody = str(uuid.uuid4())
    for call in (client.terminate, client.suspend, client.resume):
        # What has ended is left as it is.
        await call(instance_id, "late")
        await raises(call(nobody, "nobody"), f"No instance with ID '{nobody}' found.")
    assert (await client.purge_instance_history(instance_id)).instances_deleted == 1
    assert (await client.purge_instance_history(instance_id)).instances_deleted == 0


async def restart():
    instance_id = await client.start_new("HelloInline", client_input="Eve")
    first = await reached(instance_id, Status.Completed)
    # The library gives back the whole document.
    again = await client.restart(instance_id)
    assert again["id"] != instance_id
    assert (await reached(again["id"], Status.Completed)).output == first.output
    same = await client.restart(instance_id, restart_with_new_instance_id=False)
    assert same["id"] == instance_id
    await reached(instance_id, Status.Completed)
    await raises(client.restart(str(uuid.uuid4())), "unexpected status code 400")


async def rewind():
    instance_id = str(uuid.uuid4())
    await client.start_new("Repair", instance_id, "Ben")
    response = await waited(instance_id)
    assert response.status_code == 500
    assert json.loads(response.get_body())["runtimeStatus"] == "Failed"
    repaired = durable.EntityId("Repaired", instance_id)
    assert not (await client.read_entity_state(repaired)).entity_exists
    await client.signal_entity(repaired, "set")
    for _ in range(1_500):
        state = await client.read_entity_state(repaired)
        if state.entity_exists:
            break
        await asyncio.sleep(0.02)
    assert state.entity_state is True
    await client.rewind(instance_id, "it is repaired")
    done = await reached(instance_id, Status.Completed)
    assert done.output == 'Hello, "Ben"!'
    await raises(client.rewind(instance_id, "again"))
    nobody = str(uuid.uuid4())
    await raises(client.rewind(nobody, "nobody"), f"No instance with ID {nobody} found.")


async def entities():
    """An input comes as JSON text in a JSON string, which is what the state then is."""
    store = durable.EntityId("StringStore", str(uuid.uuid4()))
    await client.signal_entity(store, "set", "333")
    for _ in range(1_500):
        state = await client.read_entity_state(store)
        if state.entity_exists:
            break
        await asyncio.sleep(0.02)
    assert json.loads(state.entity_state) == "333", state.entity_state


async def queries_and_purge():
    prefix = f"q{uuid.uuid4().hex[:8]}-"
    for index in range(5):
        await client.start_new("HelloInline", f"{prefix}{index}", index)
    for index in range(5):
        await reached(f"{prefix}{index}", Status.Completed)
    everything = {status.instance_id for status in await client.get_status_all()}
    assert {f"{prefix}{index}" for index in range(5)} <= everything
    by_prefix = await client.get_status_by(instance_id_prefix=prefix)
    assert [status.instance_id for status in by_prefix] == [f"{prefix}{i}" for i in range(5)]
    until = datetime.now(timezone.utc) + timedelta(minutes=1)
    completed = await client.get_status_by(BEGAN, until, [Status.Completed, Status.Failed], prefix)
    assert len(completed) == 5
    assert await client.get_status_by(runtime_status=[Status.Pending], instance_id_prefix=prefix) == []
    old = datetime(1971, 1, 1), datetime(1972, 1, 1)
    assert (await client.purge_instance_history_by(*old)).instances_deleted == 0
    # The library does not pad the first years: `1-01-01T00:00:00.000000Z`.
    first = datetime(1, 1, 1)
    assert await client.get_status_by(first, old[1], instance_id_prefix=prefix) == []
    assert (await client.purge_instance_history_by(first, old[1])).instances_deleted == 0
    purged = await client.purge_instance_history_by(BEGAN, until, [Status.Completed])
    assert purged.instances_deleted >= 5
    assert not await client.get_status(f"{prefix}0")
    await raises(client.purge_instance_history_by(), "created_time_from is required")


SCENARIOS = [
    start_and_events,
    inputs_and_history,
    links,
    lifecycle,
    restart,
    rewind,
    entities,
    queries_and_purge,
]


async def main():
    for scenario in SCENARIOS:
        await scenario()
        print(f"{MODE}: {scenario.__name__}", flush=True)
    await http_utils._close_session()


asyncio.run(main())
