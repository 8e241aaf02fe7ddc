/** What is not part of a room's history: typing, receipts, messages to devices, profiles. */
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../shared/json.ts";
import type { TestUser } from "../support/client.ts";
import { pairForFile } from "./lifecycle.ts";
import {
  at,
  eventually,
  inRoom,
  joinBy,
  makeOpenRoom,
  messages,
  objects,
  ok,
  type Roles,
  say,
  sync,
  untilSameState,
  ways,
} from "./scene.ts";

const pair = pairForFile();

/** An open room with both in it, who have heard of each other. */
async function sharedRoom({ host, guest }: Roles) {
  const [alice, bob] = [await host.user("alice"), await guest.user("bob")];
  const roomId = await makeOpenRoom(alice);
  await joinBy(bob, roomId, host);
  const eventId = await say(bob, roomId, "hello");
  await eventually(
    () => messages(alice, roomId),
    (seen) => seen.includes("hello"),
  );
  return { alice, bob, roomId, eventId };
}

async function ephemeral(person: TestUser, roomId: string, type: string): Promise<JsonObject[]> {
  const events = objects(at((await sync(person)).rooms, "join", roomId, "ephemeral", "events"));
  return events.filter((event) => event.type === type);
}

const includes = (wanted: string) => (events: readonly JsonObject[]) => JSON.stringify(events).includes(wanted);

describe.each(ways)("in %s", (_name, rolesOf) => {
  it("each sees the other typing, and ceasing to", async () => {
    const { alice, bob, roomId } = await sharedRoom(rolesOf(pair()));
    for (const [person, other] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      const path = inRoom(roomId, `typing/${encodeURIComponent(person.userId)}`);
      await ok(person.put(path, { typing: true, timeout: 30_000 }));
      const look = () => ephemeral(other, roomId, "m.typing");
      await eventually(look, includes(person.userId));
      await ok(person.put(path, { typing: false }));
      await eventually(look, (events) => !includes(person.userId)(events));
    }
  });

  it("each sees how far the other has read", async () => {
    const { alice, bob, roomId, eventId } = await sharedRoom(rolesOf(pair()));
    await ok(alice.post(inRoom(roomId, `receipt/m.read/${encodeURIComponent(eventId)}`), {}));
    const byEvent = (events: readonly JsonObject[], read: string, reader: TestUser) =>
      events.some((event) => at(event, "content", read, "m.read", reader.userId) !== undefined);
    await eventually(
      () => ephemeral(bob, roomId, "m.receipt"),
      (events) => byEvent(events, eventId, alice),
    );
    const answer = await say(alice, roomId, "hello yourself");
    await eventually(
      () => messages(bob, roomId),
      (seen) => seen.includes("hello yourself"),
    );
    await ok(bob.post(inRoom(roomId, `receipt/m.read/${encodeURIComponent(answer)}`), { thread_id: "main" }));
    await eventually(
      () => ephemeral(alice, roomId, "m.receipt"),
      (events) => byEvent(events, answer, bob),
    );
  });

  it("a private receipt stays at home", async () => {
    const { alice, bob, roomId, eventId } = await sharedRoom(rolesOf(pair()));
    await ok(alice.post(inRoom(roomId, `receipt/m.read.private/${encodeURIComponent(eventId)}`), {}));
    await say(alice, roomId, "afterwards");
    await eventually(
      () => messages(bob, roomId),
      (seen) => seen.includes("afterwards"),
    );
    expect(JSON.stringify(await ephemeral(bob, roomId, "m.receipt"))).not.toContain(alice.userId);
  });

  it("messages to devices arrive once, in order", async () => {
    const { alice, bob } = await sharedRoom(rolesOf(pair()));
    for (const [person, other] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      for (let n = 0; n < 20; n += 1) {
        const sent = { [other.userId]: { [n % 2 === 0 ? "*" : other.deviceId]: { n } } };
        await ok(person.put(`v3/sendToDevice/test.number/to${n}`, { messages: sent }));
      }
      const received: JsonObject[] = [];
      let since = "";
      const look = async () => {
        const answer = await sync(other, since);
        since = `&since=${String(answer.next_batch)}`;
        received.push(...objects(at(answer, "to_device", "events")));
        return received;
      };
      await eventually(look, (events) => events.length >= 20);
      await look();
      expect(received.map((event) => at(event, "content", "n"))).toEqual(Array.from({ length: 20 }, (_, n) => n));
      expect(received.every((event) => event.sender === person.userId && event.type === "test.number")).toBe(true);
    }
  });

  it("a new name and picture are seen in the room, and in the profile", async () => {
    const { alice, bob, roomId } = await sharedRoom(rolesOf(pair()));
    for (const [person, other] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      const profile = `v3/profile/${encodeURIComponent(person.userId)}`;
      const picture = "mxc://example.org/picture";
      await ok(person.put(`${profile}/displayname`, { displayname: "A new name" }));
      await ok(person.put(`${profile}/avatar_url`, { avatar_url: picture }));
      const member = inRoom(roomId, `state/m.room.member/${encodeURIComponent(person.userId)}`);
      const changed = (content: JsonObject) => content.displayname === "A new name" && content.avatar_url === picture;
      await eventually(() => ok(other.get(member)), changed);
      expect(await ok(other.get(profile))).toMatchObject({ displayname: "A new name", avatar_url: picture });
    }
    await untilSameState(alice, bob, roomId);
  });
});
