/** What sync tells while the wake that should have told the user's actor of their own membership is lost. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type JsonObject, objectField, stringField } from "../../../shared/json.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../../support/federation.ts";

const encode = encodeURIComponent;

let federation: Federation;
let server: FederatedServer;
let bob: FederatedUser;
let alice: FederatedUser;
let roomPath: string;
let roomId: string;
let since: string;

/** The room's section of the next answer; null: there is none. */
async function sync(place: "join" | "leave", from: string | null): Promise<JsonObject | null> {
  const { body } = await alice.get(`v3/sync?timeout=0${from === null ? "" : `&since=${from}`}`);
  since = stringField(body, "next_batch") ?? "";
  return objectField(objectField(objectField(body, "rooms") ?? {}, place) ?? {}, roomId);
}

async function keepNote(n: number): Promise<void> {
  const path = `v3/user/${encode(alice.userId)}/rooms/${encode(roomId)}/account_data/org.example.note`;
  expect((await alice.put(path, { n })).status).toBe(200);
}

const noteOf = (n: number) => ({ events: [{ type: "org.example.note", content: { n } }] });

async function act(action: string): Promise<void> {
  expect((await alice.post(`${roomPath}/${action}`, {})).status).toBe(200);
  await federation.settle();
}

/** Does something of which the room's wake is lost; the alarm will repeat it. */
async function unwoken(action: string): Promise<void> {
  server.onCall = (method, call) => (method === "roomAdvanced" ? Promise.reject(new Error("lost")) : call());
  await act(action);
  server.onCall = (_method, call) => call();
}

async function say(text: string): Promise<void> {
  const path = `${roomPath}/send/m.room.message/${encode(text)}`;
  expect((await bob.put(path, { msgtype: "m.text", body: text })).status).toBe(200);
  await federation.settle();
}

beforeEach(async () => {
  federation = new Federation();
  server = federation.server("one.test");
  alice = await server.user("alice");
  bob = await server.user("bob");
  roomId = stringField((await bob.post("v3/createRoom", { preset: "public_chat" })).body, "room_id") ?? "";
  roomPath = `v3/rooms/${encode(roomId)}`;
  await act("join");
  await keepNote(1);
  expect((await sync("join", null))?.account_data).toEqual(noteOf(1));
});

afterEach(() => federation.close());

describe("a user who has left", () => {
  it("does not get the room back by account data, having been told of it", async () => {
    await say("hello");
    await unwoken("leave");
    expect(await sync("leave", since)).not.toBeNull();
    await keepNote(2);
    expect(await sync("join", since)).toBeNull();
    await federation.advance(60_000);
    expect(await sync("join", since)).toBeNull();
  });

  it("is not given the room in a first answer", async () => {
    await say("hello");
    await unwoken("leave");
    expect(await sync("join", null)).toBeNull();
    expect(await sync("leave", null)).toBeNull();
  });
});

describe("a user who has come in", () => {
  it("is given account data of the room, having been told of it", async () => {
    await act("leave");
    expect((await bob.post(`${roomPath}/invite`, { user_id: alice.userId })).status).toBe(200);
    await federation.settle();
    await unwoken("join");
    expect((await sync("join", since))?.account_data).toEqual(noteOf(1));
    await keepNote(2);
    expect((await sync("join", since))?.account_data).toEqual(noteOf(2));
  });

  it("is given the room in a first answer", async () => {
    await act("leave");
    await unwoken("join");
    expect(await sync("join", null)).toHaveProperty("timeline");
    await federation.advance(60_000);
    await say("hello again");
    const timeline = objectField((await sync("join", since)) ?? {}, "timeline");
    expect(timeline?.events).toMatchObject([{ content: { body: "hello again" } }]);
  });
});
