/** The homeserver loses its power in the middle of a conversation, and comes back. */
import { Preset } from "matrix-js-sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { externalHomeserver, type HomeserverProcess, startHomeserverProcess } from "./homeserver-process.ts";
import {
  eventually,
  eventuallyJoined,
  logIn,
  type Person,
  register,
  roomOf,
  textsSeen,
  textsSynced,
} from "./person.ts";

const messagesEach = 40;
const crashesAfter = [10, 25];

let server: HomeserverProcess;
let alice: Person;
let bob: Person;
let roomId: string;

describe.skipIf(externalHomeserver() !== null)("kill -9 in the middle of a conversation", () => {
  beforeAll(async () => {
    server = await startHomeserverProcess();
    alice = await register(server, "alice");
    bob = await register(server, "bob");
    ({ room_id: roomId } = await alice.client.createRoom({ preset: Preset.PrivateChat, invite: [bob.userId] }));
    await bob.client.joinRoom(roomId);
    await eventuallyJoined(alice, roomId);
    await eventuallyJoined(bob, roomId);
  }, 90_000);

  afterAll(async () => {
    for (const person of [alice, bob]) person?.client.stopClient();
    await server?.dispose();
  });

  it("loses nothing that was acknowledged, repeats nothing, and the clients go on", async () => {
    const acknowledged = new Set<string>();
    const crash = crashWhen(() => acknowledged.size / 2);
    await Promise.all([say(alice, "alice", acknowledged), say(bob, "bob", acknowledged), crash]);
    expect(acknowledged.size).toBe(2 * messagesEach);
    for (const person of [alice, bob]) {
      await eventually(() => expect(textsSynced(person, roomId).toSorted()).toEqual([...acknowledged].sort()), 30_000);
      expect(textsSeen(person, roomId).sort()).toEqual([...acknowledged].sort());
    }
    expect(textsSynced(alice, roomId)).toEqual(textsSynced(bob, roomId));
  }, 120_000);

  it("shows the same history to a device that was not there", async () => {
    const tablet = await logIn(server, bob, { initialSyncLimit: 5 });
    const room = await eventuallyJoined(tablet, roomId);
    for (let page = 0; page < 50 && room.oldState.paginationToken !== null; page += 1) {
      await tablet.client.scrollback(room, 20);
    }
    expect(textsSeen(tablet, roomId)).toEqual(textsSynced(alice, roomId));
    await tablet.client.logout(true);
  });

  it("still knows its sessions after being stopped in order", async () => {
    await server.stop();
    await server.start();
    alice.client.retryImmediately();
    expect(await alice.client.whoami()).toMatchObject({ user_id: alice.userId });
    await alice.client.sendTextMessage(roomId, "good morning");
    bob.client.retryImmediately();
    await eventually(() => expect(textsSeen(bob, roomId)).toContain("good morning"));
  }, 60_000);
});

/** Kills and restarts the server each time the conversation has come so far, while messages are on their way. */
async function crashWhen(progress: () => number): Promise<void> {
  for (const goal of crashesAfter) {
    await eventually(() => expect(progress()).toBeGreaterThanOrEqual(goal), 60_000);
    await server.kill9();
    await server.start();
    for (const person of [alice, bob]) person.client.retryImmediately();
  }
}

/** Sends the messages of one side; one that fails is sent again as the same message, as a person does who taps on it. */
async function say(person: Person, name: string, acknowledged: Set<string>): Promise<void> {
  for (let index = 0; index < messagesEach; index += 1) {
    const text = `${name} ${index}`;
    await person.client.sendTextMessage(roomId, text).catch(() => resend(person, text));
    acknowledged.add(text);
  }
}

async function resend(person: Person, text: string): Promise<void> {
  await eventually(
    async () => {
      const room = roomOf(person, roomId);
      const failed = room
        .getLiveTimeline()
        .getEvents()
        .find((event) => event.status !== null && event.getContent().body === text);
      // Its echo may have come down sync meanwhile: then the server has it.
      if (failed !== undefined) await person.client.resendEvent(failed, room);
    },
    60_000,
    200,
  );
}
