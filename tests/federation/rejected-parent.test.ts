/** Events upon events that were rejected: no server can use them to part the others. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FederatedUser, Federation } from "../support/federation.ts";
import { messagesSeen, type SharedRoom, send, shareRoom, statusOf } from "../support/shared-room.ts";

let federation: Federation;
let room: SharedRoom;
let carol: FederatedUser;

beforeEach(async () => {
  federation = new Federation();
  room = await shareRoom(federation, "11");
  carol = await federation.server("two.test").user("carol");
  const joined = await carol.post(`v3/join/${encodeURIComponent(room.roomId)}?via=one.test`);
  expect(joined.status, joined.text).toBe(200);
  await federation.settle();
});
afterEach(() => federation.close());

describe("events from before this server came", () => {
  it("do not become ends of its graph because somebody gives them as missing ones", async () => {
    const { built, bob, peer } = room;
    const old = built.events.filter(({ depth }) => depth <= 6);
    expect(old.length).toBeGreaterThan(3);
    peer.on(/get_missing_events/, () => ({ events: old.map(({ pdu }) => pdu) }));
    const sql = carol.server.sql("room", room.roomId);
    const ends = () => sql.all("SELECT event_nid FROM event_forward_extremities");
    const before = ends();
    built.message(bob, "withheld");
    await send({ server: carol.server, peer }, { pdus: [built.message(bob, "upon it")] });
    await federation.settle();
    expect(peer.received.some(({ path }) => path.includes("get_missing_events"))).toBe(true);
    expect(ends()).toEqual(before);
  });
});

describe("an event that follows one that was rejected", () => {
  it("reaches the other servers by way of what is built on it", async () => {
    const { built, bob } = room;
    // Bob may not do this; his message upon it is no less an event.
    const rejected = built.sendState(bob, "m.room.name", { name: "Bob's" });
    const message = built.message(bob, "from behind");
    await send(room, { pdus: [rejected, message] });
    expect([rejected, message].map(({ eventId }) => statusOf(room, eventId))).toEqual(["rejected", "accepted"]);

    const path = `v3/rooms/${encodeURIComponent(room.roomId)}/send/m.room.message/t1`;
    await room.alice.put(path, { msgtype: "m.text", body: "from alice" });
    await federation.settle();
    expect(await messagesSeen(carol, room.roomId)).toContain("from alice");
    expect(carol.server.sql("server", "one.test").all("SELECT event_id FROM inbox_events")).toEqual([]);
  });
});
