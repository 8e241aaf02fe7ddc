/** Forgetting a room, and the devices that have not been told that their user left it: they are told that, once, and no more. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { trusted } from "../../shared/ids.ts";
import { field, isObject, type JsonObject, objectField, stringField } from "../../shared/json.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";

let federation: Federation;
let one: FederatedServer;
let alice: FederatedUser;
let bob: FederatedUser;
let roomId: string;

const encode = encodeURIComponent;
const roomPath = (path: string): string => `v3/rooms/${encode(roomId)}/${path}`;
const filtered = (room: JsonObject): string => `filter=${encode(JSON.stringify({ room }))}`;
const withLeft = filtered({ include_leave: true });

/** A device of bob's, and what the last answer told it of the room. */
class Device {
  since: string | null = null;
  section: JsonObject = {};

  /** @returns where the room stands in the answer; null: nowhere. */
  async sync(query = withLeft): Promise<string | null> {
    const since = this.since === null ? "" : `&since=${this.since}`;
    const { body } = await bob.get(`v3/sync?timeout=0&${query}${since}`);
    this.since = stringField(body, "next_batch");
    this.section = {};
    for (const [place, sections] of Object.entries(objectField(body, "rooms") ?? {})) {
      const section = isObject(sections) ? objectField(sections, roomId) : null;
      if (section === null) continue;
      this.section = section;
      return place;
    }
    return null;
  }

  /** What a part of the section tells: the body of a message, or an event's type. */
  told(part: "timeline" | "state" | "state_after"): unknown[] {
    const events = field(objectField(this.section, part) ?? {}, "events");
    return (Array.isArray(events) ? events.filter(isObject) : []).map(
      (event) => field(objectField(event, "content") ?? {}, "body") ?? event.type,
    );
  }
}

async function act(person: FederatedUser, action: string, body: JsonObject = {}): Promise<void> {
  const { status, text } = await person.post(roomPath(action), body);
  expect(status, text).toBe(200);
  await federation.settle();
}

async function say(body: string): Promise<void> {
  const content = { msgtype: "m.text", body };
  expect((await alice.put(roomPath(`send/m.room.message/${body}`), content)).status).toBe(200);
  await federation.settle();
}

/** Two devices of bob's in the room, of which the second hears nothing of what follows. */
async function twoDevices(): Promise<[Device, Device]> {
  await act(bob, "join");
  await say("before");
  const devices: [Device, Device] = [new Device(), new Device()];
  for (const device of devices) expect(await device.sync()).toBe("join");
  return devices;
}

/** Has bob leave and forget the room while an answer of it is under way to one of his devices. */
function forgetWhileAnswered(): void {
  let isForgotten = false;
  one.onCall = async (method, call) => {
    const answer = await call();
    if (method === "syncRoom" && !isForgotten) {
      isForgotten = true;
      for (const action of ["leave", "forget"]) expect((await bob.post(roomPath(action))).status).toBe(200);
    }
    return answer;
  };
}

beforeEach(async () => {
  federation = new Federation();
  one = federation.server("one.test");
  alice = await one.user("alice");
  bob = await one.user("bob");
  roomId = String((await alice.post("v3/createRoom", { preset: "public_chat" })).body.room_id);
});
afterEach(() => federation.close());

describe("a room that was left and forgotten", () => {
  it("leaves a device that was told of it, once, by the leave and nothing else", async () => {
    const [first, second] = await twoDevices();
    await say("unseen");
    await act(bob, "leave");
    expect(await first.sync()).toBe("leave");
    await act(bob, "forget");
    await say("later");
    expect(await second.sync()).toBe("leave");
    expect(second.told("timeline")).toEqual(["m.room.member"]);
    expect(second.told("state")).toEqual([]);
    expect(objectField(second.section, "timeline")).toMatchObject({ limited: true });
    for (const device of [first, second]) {
      expect(await device.sync()).toBeNull();
      expect(await device.sync(`${withLeft}&full_state=true`)).toBeNull();
    }
    expect((await bob.get(roomPath("messages?dir=b"))).status).toBe(403);
  });

  it("leaves every device where it is forgotten before any was told, also by an old token that is repeated", async () => {
    const devices = await twoDevices();
    await act(bob, "leave");
    await act(bob, "forget");
    for (const device of devices) {
      const { since } = device;
      expect(await device.sync()).toBe("leave");
      expect(objectField(device.section, "timeline")).toMatchObject({ limited: false });
      device.since = since;
      expect(await device.sync(`${withLeft}&full_state=true`)).toBe("leave");
      expect(await device.sync()).toBeNull();
    }
  });

  it("does not appear to who begins anew", async () => {
    await twoDevices();
    await act(bob, "leave");
    await act(bob, "forget");
    const fresh = new Device();
    expect(await fresh.sync()).toBeNull();
    await say("later");
    expect(await fresh.sync()).toBeNull();
    expect(await fresh.sync(`${withLeft}&full_state=true`)).toBeNull();
  });

  it("is not shown, but to the device that has it, where the user's actor could not be told", async () => {
    const [first] = await twoDevices();
    await act(bob, "leave");
    one.onCall = (method, call) => (method === "roomForgotten" ? Promise.reject(new Error("away")) : call());
    expect((await bob.post(roomPath("forget"))).status).toBe(500);
    expect(await new Device().sync()).toBeNull();
    expect(await first.sync()).toBe("leave");
    expect(await first.sync(`${withLeft}&full_state=true`)).toBeNull();
  });

  it("is told by the parts of the section that the filter lets the leave into", async () => {
    const [first, second] = await twoDevices();
    await act(bob, "leave");
    await act(bob, "forget");
    const { since } = first;
    const messages = { timeline: { types: ["m.room.message"] } };
    expect(await first.sync(filtered(messages))).toBe("leave");
    expect([first.told("timeline"), first.told("state")]).toEqual([[], ["m.room.member"]]);
    first.since = since;
    expect(await first.sync(filtered({ ...messages, state: { not_types: ["m.room.member"] } }))).toBe("leave");
    expect([first.told("timeline"), first.told("state")]).toEqual([[], []]);
    expect(await second.sync(`${withLeft}&use_state_after=true`)).toBe("leave");
    expect([second.told("timeline"), second.told("state_after")]).toEqual([["m.room.member"], ["m.room.member"]]);
  });

  it("is not told to a device that does not want the room", async () => {
    const [first] = await twoDevices();
    await act(bob, "leave");
    await act(bob, "forget");
    expect(await first.sync(filtered({ not_rooms: [roomId] }))).toBeNull();
    expect(await first.sync()).toBeNull();
  });

  it("is told to the device that was being answered meanwhile", async () => {
    const [first, second] = await twoDevices();
    await say("seen");
    forgetWhileAnswered();
    expect(await first.sync()).toBe("join");
    expect(first.told("timeline")).toEqual(["seen"]);
    for (const device of [first, second]) {
      expect(await device.sync()).toBe("leave");
      expect(await device.sync()).toBeNull();
    }
  });

  it("is told to the device that was being answered for the first time", async () => {
    await act(bob, "join");
    const device = new Device();
    forgetWhileAnswered();
    expect(await device.sync()).toBe("join");
    expect(await device.sync()).toBe("leave");
    expect(await device.sync()).toBeNull();
  });

  it("is told again and again until its room can be asked", async () => {
    const [first] = await twoDevices();
    await act(bob, "leave");
    await act(bob, "forget");
    one.onCall = (method, call) => (method === "syncRoom" ? Promise.reject(new Error("away")) : call());
    for (let tries = 0; tries < 3; tries += 1) expect(await first.sync()).toBeNull();
    one.onCall = (_method, call) => call();
    expect(await first.sync()).toBe("leave");
    expect(await first.sync()).toBeNull();
  });

  it("takes an invite with it that was turned down", async () => {
    const devices = [new Device(), new Device()];
    for (const device of devices) expect(await device.sync()).toBeNull();
    await act(alice, "invite", { user_id: bob.userId });
    for (const device of devices) expect(await device.sync()).toBe("invite");
    await act(bob, "leave");
    await act(bob, "forget");
    for (const device of devices) {
      expect(await device.sync()).toBe("leave");
      expect(device.told("timeline")).toEqual(["m.room.member"]);
      expect(await device.sync()).toBeNull();
    }
  });

  it("costs nothing of a device that was told", async () => {
    const [first] = await twoDevices();
    await act(bob, "leave");
    await act(bob, "forget");
    await first.sync();
    const asked: string[] = [];
    one.onArguments = (method) => void asked.push(method);
    await bob.put(`v3/user/${bob.userId}/account_data/org.example.any`, {});
    expect(await first.sync()).toBeNull();
    expect(asked).not.toContain("syncRoom");
    expect(one.sql("user", bob.userId).all("SELECT * FROM rooms")).toEqual([]);
  });
});

describe("who comes back into a room that was forgotten", () => {
  it("has it again, on devices that heard of the leave and on those that did not", async () => {
    const [first, second] = await twoDevices();
    await say("unseen");
    await act(bob, "leave");
    await act(bob, "forget");
    expect(await first.sync()).toBe("leave");
    await act(bob, "join");
    await say("back");
    expect(await first.sync()).toBe("join");
    expect(first.told("timeline")).toEqual(expect.arrayContaining(["before", "unseen", "m.room.member", "back"]));
    expect(await second.sync()).toBe("join");
    expect(second.told("timeline")).toEqual(["unseen", "m.room.member", "m.room.member", "back"]);
    expect(await new Device().sync()).toBe("join");
    for (const device of [first, second]) expect(await device.sync()).toBeNull();
  });

  it("is not made to forget it by an answer that comes late", async () => {
    const [first] = await twoDevices();
    const through: number[] = [];
    one.onArguments = (method, args) => {
      if (method === "roomForgotten") through.push(Number(args[1]));
    };
    await act(bob, "leave");
    await act(bob, "forget");
    await act(bob, "join");
    await one.actors.user(trusted.userId(bob.userId)).roomForgotten(trusted.roomId(roomId), through[0] ?? 0);
    expect((await bob.get("v3/joined_rooms")).body.joined_rooms).toEqual([roomId]);
    expect(await first.sync()).toBe("join");
  });

  it("is not asked back by a wake that comes late", async () => {
    await twoDevices();
    await act(bob, "leave");
    const told = one.sql("user", bob.userId).one<{ position: number }>("SELECT head_hint AS position FROM rooms");
    await act(bob, "forget");
    const position = told?.position ?? 0;
    const wake = { roomId: trusted.roomId(roomId), head: position, membershipPosition: position };
    await one.actors.user(trusted.userId(bob.userId)).roomAdvanced({ ...wake, membership: "leave" });
    expect(one.sql("user", bob.userId).all("SELECT * FROM rooms")).toEqual([]);
  });

  it("keeps another room's tokens apart from it", async () => {
    const [first] = await twoDevices();
    await act(bob, "leave");
    await act(bob, "forget");
    const forgotten = roomId;
    roomId = String((await alice.post("v3/createRoom", { preset: "public_chat" })).body.room_id);
    await act(bob, "join");
    expect(await first.sync()).toBe("join");
    expect(first.told("timeline")).toContain("m.room.create");
    roomId = forgotten;
    first.since = null;
    expect(await first.sync()).toBeNull();
  });
});
