/** Joining a large room on the wire: neither a client that goes away nor a power cut lets it begin from zero. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { createServer, type Server } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { JsonObject } from "../../shared/json.ts";
import { type HomeserverProcess, startHomeserverProcess } from "../e2e/homeserver-process.ts";
import { federationVariables } from "../support/federated-homeservers.ts";
import { Federation } from "../support/federation.ts";
import { freePort } from "../support/homeserver.ts";
import { Resident } from "../support/resident.ts";
import { RoomBuilder, user } from "../support/room-builder.ts";

const members = 1_500;
const tls = join(import.meta.dirname, "tls");

let resident: Resident;
let built: RoomBuilder;
let listener: Server;
let homeserver: HomeserverProcess;
let dataDir: string;
let token: string;
/** The answer to `state` stops after so many events, and the connection stays open. */
let tells: number;
let isAsked: () => void;
let joinIsHeld: Promise<void>;

beforeAll(async () => {
  const port = await freePort();
  const name = `localhost:${port}`;
  // A process of its own plays the homeserver; of this federation only its peer is used.
  const federation = new Federation();
  federation.tick(Date.now() - federation.clock.now());
  built = RoomBuilder.open({ creator: user(`@creator:${name}`) });
  for (let index = 0; index < members; index += 1) built.join(user(`@user${index}:${name}`));
  joinIsHeld = Promise.resolve();
  isAsked = () => undefined;
  resident = new Resident(federation, name, built, { omitsMembers: true });
  resident.peer.on(/\/v1\/send\//, () => ({ pdus: {} }));
  resident.peer.on(/\/send_join\//, async () => {
    isAsked();
    await joinIsHeld;
    return null;
  });
  resident.peer.on(/\/state\//, () => new Response(stateInParts([...built.state.values()].map(({ pdu }) => pdu))));
  const pair = { cert: readFileSync(join(tls, "server.pem")), key: readFileSync(join(tls, "server.key")) };
  listener = createServer(pair, (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", async () => {
      const { method = "GET", url = "/" } = incoming;
      const body = chunks.length === 0 ? {} : { body: Buffer.concat(chunks).toString("utf8") };
      const answer = await federation.foreign.get(name)?.(new Request(`https://${name}${url}`, { method, ...body }));
      outgoing.writeHead(answer?.status ?? 500, { "Content-Type": "application/json" });
      for await (const chunk of answer?.body ?? []) outgoing.write(chunk);
      outgoing.end();
    });
  });
  await new Promise<void>((resolve) => listener.listen(port, "127.0.0.1", resolve));
  dataDir = mkdtempSync(join(tmpdir(), "tessera-large-room-"));
  homeserver = await startHomeserverProcess({ env: { ...federationVariables(await freePort()), DATA_DIR: dataDir } });
  const account = { username: "bob", password: "a good password", auth: { type: "m.login.dummy" } };
  const registered: JsonObject = JSON.parse(await call("POST", "register", account));
  token = String(registered.access_token);
}, 120_000);

afterAll(async () => {
  await homeserver?.dispose();
  listener?.close();
  listener?.closeAllConnections();
  if (dataDir !== undefined) rmSync(dataDir, { recursive: true, force: true });
});

function stateInParts(pdus: JsonObject[]): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let index = 0;
  return new ReadableStream({
    async pull(controller) {
      if (index === tells) await new Promise(() => undefined);
      const text =
        index === pdus.length
          ? '],"auth_chain":[]}'
          : `${index === 0 ? '{"pdus":[' : ","}${JSON.stringify(pdus[index])}`;
      controller.enqueue(encoder.encode(text));
      index += 1;
      if (index > pdus.length) controller.close();
    },
  });
}

async function call(method: string, path: string, body?: JsonObject): Promise<string> {
  const headers = { Authorization: `Bearer ${token}` };
  const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
  const response = await fetch(`${homeserver.baseUrl}/_matrix/client/v3/${path}`, init);
  return await response.text();
}

async function until(what: string, isSo: () => boolean | Promise<boolean>, withinMs: number): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`not so after ${withinMs} ms: ${what}`);
    await delay(100);
  }
}

/** What the room's database says, in which the server may be writing. */
function inRoom<Row>(query: string): Row[] {
  const folder = join(dataDir, "do", "tessera-RoomActor");
  for (const file of readdirSync(folder).filter((entry) => entry.endsWith(".sqlite"))) {
    const database = new DatabaseSync(join(folder, file), { readOnly: true });
    try {
      return database.prepare(query).all() as Row[];
    } catch {
      // Not the room's.
    } finally {
      database.close();
    }
  }
  return [];
}

it("goes on with a join whose client has gone away", async () => {
  tells = 700;
  let letGo = (): void => undefined;
  joinIsHeld = new Promise((resolve) => {
    letGo = resolve;
  });
  const asked = new Promise<void>((resolve) => {
    isAsked = resolve;
  });
  const path = `join/${encodeURIComponent(built.roomId)}?via=${resident.peer.name}`;
  const joining = request(`${homeserver.baseUrl}/_matrix/client/v3/${path}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}` },
  });
  const isGone = new Promise((resolve) => joining.once("error", resolve));
  joining.end("{}");
  await asked;
  // The one way of going away that the runtime notices at once.
  joining.socket?.resetAndDestroy();
  await isGone;
  // Longer than the runtime keeps what nobody waits for.
  await delay(12_000);
  letGo();
  await until("joined", async () => (await call("GET", "joined_rooms")).includes(built.roomId), 10_000);
  expect(resident.taken).toHaveLength(1);
}, 60_000);

it("goes on with the members where a power cut has ended it", async () => {
  const begun = "SELECT fetched_events AS events FROM partial_state WHERE fetched_events > 0";
  await until("begun", () => inRoom(begun).length > 0, 30_000);
  await homeserver.kill9();
  const stored = inRoom<{ event_nid: number; event_id: string }>("SELECT event_nid, event_id FROM events ORDER BY 1");
  expect(stored.length).toBeGreaterThan(500);
  tells = -1;
  await homeserver.start();
  await until("whole", () => inRoom("SELECT 1 FROM partial_state").length === 0, 90_000);
  const joined: JsonObject = JSON.parse(await call("GET", `rooms/${encodeURIComponent(built.roomId)}/joined_members`));
  expect(Object.keys(joined.joined ?? {})).toHaveLength(members + 2);
  await homeserver.stop();
  const after = inRoom<{ event_nid: number; event_id: string }>("SELECT event_nid, event_id FROM events ORDER BY 1");
  expect(after.slice(0, stored.length)).toEqual(stored);
  // The four that a room begins with, and the join.
  expect(after).toHaveLength(members + 5);
}, 180_000);
