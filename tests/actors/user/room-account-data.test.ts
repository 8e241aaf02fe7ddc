/** What sync tells a client of what its user keeps for a room. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type JsonObject, objectField, stringField } from "../../../shared/json.ts";
import { type FederatedUser, Federation } from "../../support/federation.ts";

const note = { type: "org.example.note", content: { n: 1 } };
const encode = encodeURIComponent;

let federation: Federation;
let alice: FederatedUser;
let roomPath: string;
let roomId: string;
let since: string;

/** The room's section of the next answer; null: there is none. */
async function sync(from: string | null, query = ""): Promise<JsonObject | null> {
  const { body } = await alice.get(`v3/sync?timeout=0${from === null ? "" : `&since=${from}`}${query}`);
  since = stringField(body, "next_batch") ?? "";
  return objectField(objectField(objectField(body, "rooms") ?? {}, "join") ?? {}, roomId);
}

async function act(action: string): Promise<void> {
  expect((await alice.post(`${roomPath}/${action}`, {})).status).toBe(200);
  await federation.settle();
}

describe("room account data in sync", () => {
  beforeEach(async () => {
    federation = new Federation();
    const server = federation.server("one.test");
    alice = await server.user("alice");
    const bob = await server.user("bob");
    roomId = stringField((await bob.post("v3/createRoom", { preset: "public_chat" })).body, "room_id") ?? "";
    roomPath = `v3/rooms/${encode(roomId)}`;
    await act("join");
    const path = `v3/user/${encode(alice.userId)}/rooms/${encode(roomId)}/account_data/${note.type}`;
    expect((await alice.put(path, note.content)).status).toBe(200);
    expect((await sync(null))?.account_data).toEqual({ events: [note] });
  });

  afterEach(() => federation.close());

  it("is not repeated when the user changes their name", async () => {
    const name = { displayname: "Alice the Second" };
    expect((await alice.put(`v3/profile/${encode(alice.userId)}/displayname`, name)).status).toBe(200);
    await federation.settle();
    const section = await sync(since);
    expect(section).toHaveProperty("timeline");
    expect(section).not.toHaveProperty("account_data");
    expect((await sync(since, "&full_state=true"))?.account_data).toEqual({ events: [note] });
  });

  it("is given to whom the user comes back, told of the absence or not", async () => {
    const before = since;
    await act("leave");
    expect(await sync(before)).toBeNull();
    const absent = since;
    await act("join");
    expect((await sync(absent))?.account_data).toEqual({ events: [note] });
    expect((await sync(before))?.account_data).toEqual({ events: [note] });
  });
});
