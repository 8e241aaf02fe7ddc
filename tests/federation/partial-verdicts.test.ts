/** What was taken, or refused, while not all of a room was known: afterwards it is what it is on the whole state. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import type { FederatedUser } from "../support/federation.ts";
import { PartialScene, second } from "../support/partial-scene.ts";
import { RoomBuilder, user } from "../support/room-builder.ts";

const carol = user("@carol:example.org");
const dave = user("@dave:far.test");

let scene: PartialScene;
let built: RoomBuilder;
let bob: FederatedUser;
/** An event by which carol is kicked by somebody who is banned, which cannot be known at first. */
let kick: MatrixEvent;
let daveOnceJoined: MatrixEvent;

beforeEach(async () => {
  built = RoomBuilder.open({ powerLevels: { users: { [carol]: 50, [dave]: 60 } } });
  built.join(carol);
  daveOnceJoined = built.join(dave);
  built.member(built.creator, "ban", dave);
  scene = new PartialScene(built, { omitsMembers: true });
  bob = await scene.two.user("bob");
  await scene.join(bob);
  kick = byDave({ type: "m.room.member", stateKey: carol, content: { membership: "leave" } });
  await scene.give([kick]);
  await scene.federation.advance(10 * second);
  expect(scene.statusOf(kick)).toBe("accepted");
});
afterEach(() => scene.federation.close());

/** An event of dave's that says nothing of his ban. */
function byDave(input: { type: string; stateKey?: string; content?: object; redacts?: MatrixEvent["eventId"] }) {
  const { type, stateKey = null, redacts } = input;
  const content = { ...input.content };
  const subject = { sender: dave, type, stateKey, content };
  const ban = built.lookup("m.room.member", dave)?.eventId;
  const authEvents = built.authEventsFor(subject).map((id) => (id === ban ? daveOnceJoined.eventId : id));
  return built.fork().make({ ...subject, authEvents, ...(redacts === undefined ? {} : { redacts }) });
}

async function complete(): Promise<void> {
  scene.tellsState = true;
  await scene.federation.advance(120 * second);
  expect(scene.rows("partial_state")).toEqual([]);
}

describe("an event refused while not all of the room was known", () => {
  it("is accepted when it is allowed on the whole state, and everybody is told", async () => {
    const afterKick = { prevEvents: [kick.eventId] };
    const name = built.fork().make({ ...afterKick, sender: carol, type: "m.room.name", stateKey: "", content: {} });
    const before = { prevEvents: [name.eventId] };
    const words = built.fork().make({ ...before, sender: carol, type: "m.room.message", content: { body: "here" } });
    const topic = built.sendState(carol, "m.room.topic", { topic: "New" });
    await scene.give([name, words, topic]);
    expect([name, words, topic].map((event) => scene.statusOf(event))).toEqual(["rejected", "rejected", "soft_failed"]);
    const seen = await scene.timelineOf(bob);
    expect(seen).toContain(kick.eventId);
    await complete();
    expect([kick, name, words, topic].map((event) => scene.statusOf(event))).toEqual([
      "rejected",
      "accepted",
      "accepted",
      "accepted",
    ]);
    expect(scene.stateHere()).toEqual([...scene.stateThere(), `m.room.name| = ${name.eventId}`].sort());
    expect(await scene.timelineOf(bob)).toEqual([name.eventId, words.eventId, topic.eventId]);
    const history = await bob.get(`v3/rooms/${scene.path}/messages?dir=b&limit=50`);
    expect(history.text).not.toContain(kick.eventId);
    // What comes after it builds on it.
    const next = built.fork().make({ ...before, sender: carol, type: "m.room.message", content: { body: "next" } });
    await scene.give([next]);
    expect(scene.statusOf(next)).toBe("accepted");
    const sent = await bob.put(`v3/rooms/${scene.path}/send/m.room.message/1`, { body: "together" });
    expect(sent.status, sent.text).toBe(200);
    expect(scene.two.logged.filter(({ level }) => level === "error")).toEqual([]);
  });

  it("authorizes others that were refused for its sake", async () => {
    const branch = built.fork();
    const eve = user("@eve:example.org");
    const prevEvents = [kick.eventId];
    const content = { membership: "invite" };
    const invite = branch.append(
      branch.make({ prevEvents, sender: carol, type: "m.room.member", stateKey: eve, content }),
    );
    const join = branch.join(eve);
    await scene.give([invite, join]);
    expect([invite, join].map((event) => scene.statusOf(event))).toEqual(["rejected", "rejected"]);
    await complete();
    expect([invite, join].map((event) => scene.statusOf(event))).toEqual(["accepted", "accepted"]);
    expect(scene.stateHere()).toEqual([...scene.stateThere(), `m.room.member|${eve} = ${join.eventId}`].sort());
    const indexed = scene.rows("events").filter(({ auth_chain }) => auth_chain !== null);
    expect(indexed.map(({ event_id }) => event_id)).toEqual(expect.arrayContaining([invite.eventId, join.eventId]));
  });

  it("is redacted by who had the right to, although it was refused then", async () => {
    const prevEvents = [kick.eventId];
    const words = built.fork().make({ prevEvents, sender: carol, type: "m.room.message", content: { body: "secret" } });
    await scene.give([words]);
    expect(scene.statusOf(words)).toBe("rejected");
    const redaction = built.send({
      sender: built.creator,
      type: "m.room.redaction",
      content: { redacts: words.eventId },
    });
    await scene.give([redaction]);
    expect(scene.statusOf(redaction)).toBe("accepted");
    await complete();
    expect(scene.statusOf(words)).toBe("accepted");
    const shown = await bob.get(`v3/rooms/${scene.path}/event/${encodeURIComponent(words.eventId)}`);
    expect([shown.status, shown.text.includes("secret"), shown.body.content]).toEqual([200, false, {}]);
  });

  it("stays refused when it is not allowed on the whole state either", async () => {
    const late = byDave({ type: "m.room.message", content: { body: "still here" } });
    await scene.give([late]);
    expect(scene.statusOf(late)).toBe("accepted");
    const stranger = built.fork().make({
      prevEvents: [kick.eventId],
      sender: user("@stranger:example.org"),
      type: "m.room.message",
    });
    await scene.give([stranger]);
    expect(scene.statusOf(stranger)).toBe("rejected");
    await complete();
    expect([late, stranger].map((event) => scene.statusOf(event))).toEqual(["rejected", "rejected"]);
    expect(scene.stateHere()).toEqual(scene.stateThere());
  });
});

describe("a redaction taken while not all of the room was known", () => {
  it("redacts nothing any more when its sender turns out to be banned", async () => {
    const words = built.message(built.creator, "to be kept");
    await scene.give([words]);
    const redaction = byDave({ type: "m.room.redaction", content: { redacts: words.eventId } });
    await scene.give([redaction]);
    expect(scene.statusOf(redaction)).toBe("accepted");
    const path = `v3/rooms/${scene.path}/event/${encodeURIComponent(words.eventId)}`;
    expect((await bob.get(path)).text).not.toContain("to be kept");
    await complete();
    expect(scene.statusOf(redaction)).toBe("rejected");
    expect((await bob.get(path)).text).toContain("to be kept");
  });
});

describe("a server that was taken to be in the room while not all of it was known", () => {
  /** What was sent to far.test of an event that is not of this server's making. */
  const sent = ({ eventId }: MatrixEvent): boolean => {
    const find = "SELECT json ->> '$.hashes.sha256' AS hash FROM events WHERE event_id = ?";
    const hash = scene.two.sql("room", built.roomId).one<{ hash: string }>(find, eventId)?.hash ?? eventId;
    return scene.far.received.some(({ path, body }) => path.includes("/send/") && JSON.stringify(body).includes(hash));
  };
  const ask = (path: string, query: string) =>
    scene.far.request(scene.two, "GET", `/_matrix/federation/v1/${path}/${scene.path}?${query}`);

  it("is told that it is not, and may find out why", async () => {
    const rejoin = byDave({ type: "m.room.member", stateKey: dave, content: { membership: "join" } });
    await scene.give([rejoin], scene.far);
    expect(scene.statusOf(rejoin)).toBe("accepted");
    const last = built.message(built.creator, "by somebody else");
    await scene.give([last]);
    await complete();
    expect(scene.statusOf(rejoin)).toBe("rejected");
    expect(sent(last)).toBe(true);
    const state = await ask("state_ids", `event_id=${encodeURIComponent(last.eventId)}`);
    expect([state.status, state.text.includes(built.lookup("m.room.member", dave)?.eventId ?? "?")]).toEqual([
      200,
      true,
    ]);
    // That was its last word.
    const later = built.message(built.creator, "later");
    await scene.give([later]);
    await bob.put(`v3/rooms/${scene.path}/send/m.room.message/1`, { body: "for those who are in" });
    await scene.federation.advance(120 * second);
    expect(sent(later)).toBe(false);
    expect(JSON.stringify(scene.far.received)).not.toContain("for those who are in");
    expect((await ask("state_ids", `event_id=${encodeURIComponent(later.eventId)}`)).status).toBe(403);
  });

  it("is told nothing when nobody was ever seen of it", async () => {
    scene.federation.close();
    built = RoomBuilder.open();
    scene = new PartialScene(built, { omitsMembers: true });
    await scene.join(await scene.two.user("bob"));
    const stays = () => scene.rows("room_servers").filter(({ until_position }) => until_position === null);
    expect(stays().map(({ server_name }) => server_name)).toEqual(["example.org", "far.test"]);
    const last = built.message(built.creator, "by somebody else");
    await scene.give([last]);
    await complete();
    expect(stays().map(({ server_name }) => server_name)).toEqual(["example.org"]);
    expect(sent(last)).toBe(false);
  });
});
