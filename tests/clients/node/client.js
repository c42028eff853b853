// Every call of the npm package `durable-functions`, against a running host.
//
// Arguments: the base URL of the management API with a slash at its end, and how the client finds its
// way: `rpc` (a base URL, as local workers get it) or `templates` (the URLs that the host answers a
// start with), and a management key if the host asks for one, which stands in the templates. What the
// library's users rely on is asserted; the first surprise ends the script.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

import * as durable from "durable-functions";

const [, , base, mode, key] = process.argv;
const origin = new URL(base).origin;
// Otherwise the library takes every URL to be one of the local tools and changes its port.
process.env.WEBSITE_HOSTNAME = new URL(base).host;

const PLACEHOLDER = "INSTANCEID";
const REQUIRED = `taskHub=TestHubName&connection=Storage${key ? `&code=${key}` : ""}`;

/** The links that the host gives for an orchestration, with a placeholder for its id. */
async function managementUrls() {
  const response = await fetch(`${base}orchestrators/HelloInline?${REQUIRED}`, {
    method: "POST",
    body: '"links"',
  });
  assert.equal(response.status, 202);
  const links = await response.json();
  const entries = Object.entries(links).map(([name, link]) => [
    name,
    name === "id" ? PLACEHOLDER : withKey(withQuery(link.replace(links.id, PLACEHOLDER))),
  ]);
  const rewind = `${base}instances/${PLACEHOLDER}/rewind?reason={text}&${REQUIRED}`;
  return { ...Object.fromEntries(entries), rewindPostUri: rewind };
}

/** The library appends `&name=value`, so a link must have a query. */
function withQuery(link) {
  return link.includes("?") ? link : `${link}?${REQUIRED}`;
}

/** A link has a code for its own orchestration; a template for all of them needs the key in its place. */
function withKey(link) {
  return key ? link.replace(/([?&])code=[^&]*/, `$1code=${key}`) : link;
}

/** The client that a function would get. */
async function connect() {
  const input = durable.input.durableClient();
  const data = {
    taskHubName: "TestHubName",
    creationUrls: {
      createNewInstancePostUri: `${base}orchestrators/{functionName}[/{instanceId}]?${REQUIRED}`,
      createAndWaitOnNewInstancePostUri:
        `${base}orchestrators/{functionName}[/{instanceId}]` +
        `?timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}&${REQUIRED}`,
    },
    managementUrls: await managementUrls(),
    baseUrl: base.replace(/\/$/, ""),
    requiredQueryStringParameters: REQUIRED,
    ...(mode === "rpc" ? { rpcBaseUrl: base } : {}),
  };
  return durable.getClient({
    options: { extraInputs: [input] },
    extraInputs: { get: () => data },
  });
}

const client = await connect();
const began = new Date(Date.now() - 60_000);
const request = { url: `${origin}/api/anything` };
const patience = { timeoutInMilliseconds: 30_000, retryIntervalInMilliseconds: 20 };

/** The JSON body of a response that the library made for a function. */
async function bodyOf(response) {
  return JSON.parse(await new Response(response.body).text());
}

/** The status of an orchestration once it is this one. */
async function reached(id, wanted) {
  for (let attempt = 0; attempt < 1_500; attempt++) {
    const status = await client.getStatus(id);
    if (status.runtimeStatus === wanted) return status;
    await pause(20);
  }
  throw new Error(`${id} does not become ${wanted}`);
}

async function startAndEvents() {
  const id = randomUUID();
  assert.equal(await client.startNew("Votes", { instanceId: id, input: 2 }), id);
  const running = await reached(id, "Running");
  assert.deepEqual([running.name, running.instanceId, running.input], ["Votes", id, 2]);
  assert.ok(running.createdTime >= began && running.lastUpdatedTime >= running.createdTime);
  await assert.rejects(client.startNew("Votes", { instanceId: id, input: 1 }), /409/);
  await client.raiseEvent(id, "vote", { yes: true });
  await client.raiseEvent(id, "vote", "text");
  const done = await client.waitForCompletionOrCreateCheckStatusResponse(request, id, patience);
  assert.equal(done.status, 200);
  assert.deepEqual(await bodyOf(done), [{ yes: true }, "text"]);
  // What has ended takes no events, and the library says nothing of it.
  await client.raiseEvent(id, "vote", 1);
  await assert.rejects(client.raiseEvent(randomUUID(), "vote", 1), /No instance with ID/);
  await assert.rejects(client.startNew("NoSuchOrchestrator"), /400.*doesn't exist/s);
  await assert.rejects(client.getStatus(randomUUID()), /404/);
}

async function inputsAndHistory() {
  const id = await client.startNew("HelloActivity", { input: "Ann" });
  await reached(id, "Completed");
  const options = { showHistory: true, showHistoryOutput: true, showInput: true };
  const shown = await client.getStatus(id, options);
  assert.deepEqual([shown.input, shown.output], ["Ann", "Hello, Ann!"]);
  const raw = await (await fetch(`${base}instances/${id}?showHistory=true&showHistoryOutput=true&${REQUIRED}`)).json();
  const kinds = raw.historyEvents.map((event) => event.EventType);
  assert.deepEqual(kinds, ["ExecutionStarted", "TaskCompleted", "ExecutionCompleted"]);
  assert.equal(raw.historyEvents[1].Result, "Hello, Ann!");
  if (mode === "templates") {
    assert.equal((await client.getStatus(id, { showInput: false })).input, null);
  }
  // Without an input it sends an empty text, in JSON.
  const empty = await client.startNew("HelloInline");
  assert.equal((await reached(empty, "Completed")).input, "");
}

async function checkStatus() {
  const id = await client.startNew("Votes", { input: 1 });
  const response = client.createCheckStatusResponse(request, id);
  assert.equal(response.status, 202);
  const links = await bodyOf(response);
  assert.equal(links.id, id);
  assert.equal(response.headers.get("location"), links.statusQueryGetUri);
  assert.equal((await fetch(links.statusQueryGetUri)).status, 202);
  assert.deepEqual(client.createHttpManagementPayload(id), links);
  const late = { timeoutInMilliseconds: 40, retryIntervalInMilliseconds: 20 };
  const waited = await client.waitForCompletionOrCreateCheckStatusResponse(request, id, late);
  assert.equal(waited.status, 202);
  const event = links.sendEventPostUri.replace("{eventName}", "vote");
  const headers = { "content-type": "application/json" };
  assert.equal((await fetch(event, { method: "POST", headers, body: "7" })).status, 202);
  assert.deepEqual((await reached(id, "Completed")).output, [7]);
  const purged = await fetch(links.purgeHistoryDeleteUri, { method: "DELETE" });
  assert.deepEqual(await purged.json(), { instancesDeleted: 1 });
}

async function lifecycle() {
  const id = await client.startNew("Votes", { input: 1 });
  await reached(id, "Running");
  await client.suspend(id, "a closer look");
  await reached(id, "Suspended");
  await assert.rejects(client.suspend(id, "again"), /409/);
  await client.resume(id, "seen");
  await reached(id, "Running");
  await assert.rejects(client.resume(id, "again"), /409/);
  await client.terminate(id, "no more");
  const ended = await reached(id, "Terminated");
  assert.equal(ended.output, "no more");
  const waited = await client.waitForCompletionOrCreateCheckStatusResponse(request, id, patience);
  assert.deepEqual([waited.status, (await bodyOf(waited)).runtimeStatus], [200, "Terminated"]);
  for (const call of [client.terminate, client.suspend, client.resume]) {
    // What has ended is left as it is.
    await call.call(client, id, "late");
    await assert.rejects(call.call(client, randomUUID(), "nobody"), /No instance with ID/);
  }
  assert.deepEqual(await client.purgeInstanceHistory(id), { instancesDeleted: 1 });
  assert.equal((await client.purgeInstanceHistory(id)).instancesDeleted, 0);
}

async function rewind() {
  const id = randomUUID();
  await client.startNew("Repair", { instanceId: id, input: "Ben" });
  const failed = await client.waitForCompletionOrCreateCheckStatusResponse(request, id, patience);
  assert.deepEqual([failed.status, (await bodyOf(failed)).runtimeStatus], [500, "Failed"]);
  const repaired = new durable.EntityId("Repaired", id);
  assert.equal((await client.readEntityState(repaired)).entityExists, false);
  await client.signalEntity(repaired, "set");
  for (let attempt = 0; ; attempt++) {
    const state = await client.readEntityState(repaired);
    if (state.entityExists) {
      assert.equal(state.entityState, true);
      break;
    }
    assert.ok(attempt < 1_500, "the signal is done");
    await pause(20);
  }
  await client.rewind(id, "it is repaired");
  assert.equal((await reached(id, "Completed")).output, "Hello, Ben!");
  await assert.rejects(client.rewind(id, "again"));
  await assert.rejects(client.rewind(randomUUID(), "nobody"));
}

async function entities() {
  const counter = new durable.EntityId("Counter", randomUUID());
  await client.signalEntity(counter, "add", 5);
  await client.signalEntity(counter, "add", 7);
  for (let attempt = 0; ; attempt++) {
    const { entityExists, entityState } = await client.readEntityState(counter);
    if (entityExists && entityState.value === 12) return;
    assert.ok(attempt < 1_500, `it counts: ${JSON.stringify(entityState)}`);
    await pause(20);
  }
}

async function queriesAndPurge() {
  // More than a page, so that the token is followed.
  const ids = new Set();
  for (let index = 0; index < 130; index++) {
    ids.add(await client.startNew("HelloInline", { input: `${index}` }));
  }
  for (const id of ids) await reached(id, "Completed");
  const all = await client.getStatusAll();
  const found = new Set(all.map((status) => status.instanceId));
  assert.ok([...ids].every((id) => found.has(id)), "all pages were read");
  assert.equal(found.size, all.length, "nothing comes twice");
  const filter = { createdTimeFrom: began, createdTimeTo: new Date(Date.now() + 60_000) };
  const completed = await client.getStatusBy({ ...filter, runtimeStatus: ["Completed"] });
  assert.ok(completed.length >= ids.size);
  assert.ok(completed.every((status) => status.runtimeStatus === "Completed"));
  const long = { createdTimeFrom: new Date(0), createdTimeTo: new Date(1_000) };
  assert.deepEqual(await client.getStatusBy(long), []);
  assert.equal((await client.purgeInstanceHistoryBy(long)).instancesDeleted, 0);
  const purged = await client.purgeInstanceHistoryBy({ ...filter, runtimeStatus: ["Completed"] });
  assert.equal(purged.instancesDeleted, completed.length);
  await assert.rejects(client.getStatus([...ids][0]), /404/);
}

const scenarios = [
  startAndEvents,
  inputsAndHistory,
  checkStatus,
  lifecycle,
  rewind,
  entities,
  queriesAndPurge,
];
for (const scenario of scenarios) {
  await scenario();
  console.log(`${mode}: ${scenario.name}`);
}
