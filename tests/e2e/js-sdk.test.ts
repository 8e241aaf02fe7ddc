/**
 * People with matrix-js-sdk clients use the homeserver from their registration to their logout. The steps build on one
 * another, like the days of one conversation.
 */
import { Direction, EventType, MsgType, NotificationCountType, Preset, RelationType } from "matrix-js-sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findOrStartHomeserver, type Homeserver } from "./homeserver-process.ts";
import {
  eventSeen,
  eventually,
  eventuallyJoined,
  logIn,
  newestMessage,
  type Person,
  refusalOf,
  register,
  roomOf,
  textsSeen,
  textsSynced,
} from "./person.ts";

const messagesEach = 50;
/** Lets the same story be told again on a homeserver that keeps its users. */
const run = Date.now().toString(36);

let server: Homeserver;
let alice: Person;
let bob: Person;
let carol: Person;
let roomId: string;
/** All texts of the conversation in the order in which the room has them. */
let conversation: string[] = [];

beforeAll(async () => {
  ({ homeserver: server } = await findOrStartHomeserver());
}, 90_000);

afterAll(async () => {
  for (const person of [alice, bob, carol]) person?.client.stopClient();
  await server?.dispose();
});

describe("coming in", () => {
  it("registers people and knows who they are", async () => {
    alice = await register(server, `alice-${run}`, { lazyLoadMembers: true });
    bob = await register(server, `bob-${run}`);
    carol = await register(server, `carol-${run}`);
    expect(await alice.client.whoami()).toMatchObject({ user_id: alice.userId, device_id: alice.client.getDeviceId() });
  });

  it("refuses a name that is taken", async () => {
    const refusal = await refusalOf(alice.client.registerRequest({ username: `bob-${run}`, password: "x" }));
    expect(refusal.errcode).toBe("M_USER_IN_USE");
  });

  it("refuses a wrong password", async () => {
    const identifier = { type: "m.id.user", user: alice.userId };
    const login = bob.client.loginRequest({ type: "m.login.password", identifier, password: "wrong" });
    expect(await refusalOf(login)).toMatchObject({ errcode: "M_FORBIDDEN", httpStatus: 403 });
  });
});

describe("a private room", () => {
  it("shows the invited person who invites them and to what", async () => {
    const created = await alice.client.createRoom({
      preset: Preset.PrivateChat,
      name: "Garden",
      topic: "Tomatoes and beans",
      invite: [bob.userId],
    });
    roomId = created.room_id;
    await eventually(() => {
      const invite = roomOf(bob, roomId);
      expect(invite.getMyMembership()).toBe("invite");
      expect(invite.name).toBe("Garden");
      expect(invite.getMember(bob.userId)?.events.member?.getSender()).toBe(alice.userId);
    });
  });

  it("lets the invited person join and shows both the same room", async () => {
    await bob.client.joinRoom(roomId);
    const joined = await eventuallyJoined(bob, roomId);
    expect(joined.currentState.getStateEvents("m.room.topic", "")?.getContent().topic).toBe("Tomatoes and beans");
    await eventually(() => expect(roomOf(alice, roomId).getMember(bob.userId)?.membership).toBe("join"));
    expect(Object.keys((await alice.client.getJoinedRoomMembers(roomId)).joined).sort()).toEqual(
      [alice.userId, bob.userId].sort(),
    );
    expect((await bob.client.getJoinedRooms()).joined_rooms).toContain(roomId);
  });

  it("keeps a stranger out", async () => {
    expect((await refusalOf(carol.client.joinRoom(roomId))).errcode).toBe("M_FORBIDDEN");
    expect((await refusalOf(carol.client.sendTextMessage(roomId, "let me in"))).errcode).toBe("M_FORBIDDEN");
    expect((await refusalOf(carol.client.roomState(roomId))).errcode).toBe("M_FORBIDDEN");
  });
});

describe("talking", () => {
  it(`carries ${messagesEach} messages each way, each once, in one order for both`, async () => {
    await Promise.all([say(alice, "alice"), say(bob, "bob")]);
    const bothSaid = [...textsOf("alice"), ...textsOf("bob")].sort();
    for (const person of [alice, bob]) {
      await eventually(() => expect(textsSynced(person, roomId).toSorted()).toEqual(bothSaid), 30_000);
      expect(textsSeen(person, roomId).sort()).toEqual(bothSaid);
    }
    conversation = textsSynced(bob, roomId);
    expect(textsSynced(alice, roomId)).toEqual(conversation);
    for (const name of ["alice", "bob"]) {
      expect(conversation.filter((text) => text.startsWith(name))).toEqual(textsOf(name));
    }
  }, 60_000);

  it("shows an edit in place of the message", async () => {
    const original = await alice.client.sendTextMessage(roomId, "I have ten tomatos");
    await alice.client.sendMessage(roomId, {
      msgtype: MsgType.Text,
      body: "* I have ten tomatoes",
      "m.new_content": { msgtype: MsgType.Text, body: "I have ten tomatoes" },
      "m.relates_to": { rel_type: RelationType.Replace, event_id: original.event_id },
    });
    await eventually(() =>
      expect(eventSeen(bob, roomId, original.event_id).getContent().body).toBe("I have ten tomatoes"),
    );
    conversation.push("I have ten tomatoes");
  });

  it("shows a reaction on the message", async () => {
    const target = newestMessage(bob, roomId);
    await bob.client.sendEvent(roomId, EventType.Reaction, {
      "m.relates_to": { rel_type: RelationType.Annotation, event_id: target, key: "🍅" },
    });
    await eventually(() => {
      const reactions = roomOf(alice, roomId).relations.getChildEventsForEvent(
        target,
        RelationType.Annotation,
        EventType.Reaction,
      );
      const seen = reactions?.getSortedAnnotationsByKey()?.map(([key, events]) => [key, events.size]);
      expect(seen).toEqual([["🍅", 1]]);
    });
  });

  it("takes a redacted message away from everybody", async () => {
    const { event_id: eventId } = await bob.client.sendTextMessage(roomId, "my pin is 1234");
    await eventually(() => expect(textsSeen(alice, roomId)).toContain("my pin is 1234"));
    const { event_id: redactionId } = await bob.client.redactEvent(roomId, eventId, undefined, { reason: "oops" });
    await eventually(() => expect(eventSeen(alice, roomId, eventId).isRedacted()).toBe(true));
    const fetched = await alice.client.fetchRoomEvent(roomId, eventId);
    expect(fetched.content).toEqual({});
    expect(fetched.unsigned?.redacted_because).toMatchObject({ event_id: redactionId, content: { reason: "oops" } });
  });
});

describe("looking back", () => {
  it("lets a new device scroll back from a short timeline to the beginning", async () => {
    const tablet = await logIn(server, bob, { initialSyncLimit: 5 });
    const room = await eventuallyJoined(tablet, roomId);
    expect(room.getLiveTimeline().getEvents().length).toBeLessThanOrEqual(5);
    for (let page = 0; page < 50 && room.oldState.paginationToken !== null; page += 1) {
      await tablet.client.scrollback(room, 20);
    }
    expect(textsSeen(tablet, roomId)).toEqual(conversation);
    expect(room.getLiveTimeline().getEvents()[0]?.getType()).toBe("m.room.create");
    await tablet.client.logout(true);
  });

  it.each([
    ["backwards", Direction.Backward],
    ["forwards", Direction.Forward],
  ])("gives each event of the history once, %s", async (_name, direction) => {
    const events = await readHistory(bob, direction);
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
    const oldestFirst = direction === Direction.Backward ? events.toReversed() : events;
    expect(oldestFirst[0]?.type).toBe("m.room.create");
    expect(oldestFirst.filter(({ text }) => text?.startsWith("alice ")).map(({ text }) => text)).toEqual(
      textsOf("alice"),
    );
  });
});

describe("signs of life", () => {
  it("shows who is typing, and when they stop", async () => {
    await alice.client.sendTyping(roomId, true, 10_000);
    await eventually(() => expect(roomOf(bob, roomId).getMember(alice.userId)?.typing).toBe(true));
    await alice.client.sendTyping(roomId, false, 0);
    await eventually(() => expect(roomOf(bob, roomId).getMember(alice.userId)?.typing).toBe(false));
  });

  it("shows how far the other has read", async () => {
    const { event_id: eventId } = await alice.client.sendTextMessage(roomId, "have you read this?");
    await eventually(() => eventSeen(bob, roomId, eventId));
    await bob.client.sendReadReceipt(eventSeen(bob, roomId, eventId));
    await eventually(() => {
      expect(roomOf(alice, roomId).getEventReadUpTo(bob.userId)).toBe(eventId);
      expect(roomOf(alice, roomId).hasUserReadEvent(bob.userId, eventId)).toBe(true);
    });
  });

  it("counts what is unread, and what calls the person, until it is read", async () => {
    const before = newestMessage(alice, roomId);
    await alice.client.sendReadReceipt(eventSeen(alice, roomId, before));
    await alice.client.sendTextMessage(roomId, "one");
    await alice.client.sendTextMessage(roomId, "two");
    const mention = { msgtype: MsgType.Text as const, body: "three, Bob!", "m.mentions": { user_ids: [bob.userId] } };
    const { event_id: last } = await alice.client.sendMessage(roomId, mention);
    await eventually(() => expect(unreadOf(bob)).toEqual({ total: 3, highlight: 1 }));
    await eventually(() => eventSeen(bob, roomId, last));
    await bob.client.sendReadReceipt(eventSeen(bob, roomId, last));
    await eventually(() => expect(unreadOf(bob)).toEqual({ total: 0, highlight: 0 }));
    expect(unreadOf(alice)).toEqual({ total: 0, highlight: 0 });
  });

  it("remembers the read marker on the person's other devices", async () => {
    const marked = newestMessage(bob, roomId);
    await bob.client.setRoomReadMarkers(roomId, marked, eventSeen(bob, roomId, marked));
    const phone = await logIn(server, bob);
    await eventually(() => {
      const marker = roomOf(phone, roomId).getAccountData("m.fully_read")?.getContent();
      expect(marker?.event_id).toBe(marked);
    });
    await phone.client.logout(true);
  });
});

/** Sends the messages of one side, each after the one before it was accepted. */
async function say(person: Person, name: string): Promise<void> {
  for (const text of textsOf(name)) await person.client.sendTextMessage(roomId, text);
}

/** All of the room's history through `/messages`, page by page until the server says that there is no more. */
async function readHistory(person: Person, direction: Direction): Promise<HistoryEvent[]> {
  const events: HistoryEvent[] = [];
  let from: string | null = null;
  for (let page = 0; page < 100; page += 1) {
    const answer = await person.client.createMessagesRequest(roomId, from, 25, direction);
    for (const { event_id: id, type, content } of answer.chunk) {
      events.push({ id, type, text: typeof content.body === "string" ? content.body : null });
    }
    if (answer.end === undefined) return events;
    from = answer.end;
  }
  throw new Error("the history has no end");
}

interface HistoryEvent {
  readonly id: string;
  readonly type: string;
  readonly text: string | null;
}

function textsOf(name: string): string[] {
  return Array.from({ length: messagesEach }, (_, index) => `${name} ${index}`);
}

function unreadOf(person: Person): { total: number; highlight: number } {
  const room = roomOf(person, roomId);
  return {
    total: room.getUnreadNotificationCount(NotificationCountType.Total),
    highlight: room.getUnreadNotificationCount(NotificationCountType.Highlight),
  };
}
