/** What a server that is gone may cost in a day, whoever wants something of it, and how it is found again. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { trusted } from "../../shared/ids.ts";
import { requestPeer } from "../../workers/egress/request.ts";
import { hour, minute, OutboundScene, ok } from "../support/outbound-scene.ts";
import type { ReceivingPeer } from "../support/receiving-peer.ts";
import { user } from "../support/room-builder.ts";
import { send } from "../support/shared-room.ts";

const maxRequestsPerDay = 30;
const wellKnown = "/.well-known/matrix/server";

let scene: OutboundScene;
let peer: ReceivingPeer;
/** Paths of all requests to the peer that left our server. */
let requests: string[];
/** What its host does instead of answering. */
let host: (path: string) => Response | null;

const refuse = (): never => {
  throw new Error("connection refused");
};

beforeEach(async () => {
  scene = await OutboundScene.open();
  peer = scene.peer("two.test");
  requests = [];
  host = () => null;
  const { federation } = scene;
  const inner = federation.foreign.get(peer.name);
  federation.beforeExchange = (_from, to, path) => {
    if (to === peer.name) requests.push(path);
  };
  federation.foreign.set(peer.name, (request) => {
    const answer = host(new URL(request.url).pathname);
    return answer ?? inner?.(request) ?? refuse();
  });
});
afterEach(() => scene.close());

const askProfile = () => scene.alice.get(`v3/profile/${encodeURIComponent(`@carol:${peer.name}`)}`);
const actorOfPeer = () => scene.server.actors.server(trusted.serverName(peer.name));
const askKeys = (keyId: string) =>
  actorOfPeer().getVerifyKeys({ keyIds: [keyId], validAt: scene.federation.clock.now() });
const rowsOf = (table: string): number =>
  scene.server.sql("server", peer.name).one<{ count: number }>(`SELECT COUNT(*) AS count FROM ${table}`)?.count ?? 0;

/** A day in which messages, profiles and keys are wanted all the time. */
async function liveForADay(roomId: string, everyQuarter: (quarter: number) => void = () => undefined): Promise<void> {
  requests.length = 0;
  for (let quarter = 0; quarter < 96; quarter += 1) {
    await scene.say(roomId, `message ${quarter}`);
    await scene.federation.settle();
    await askProfile();
    await askKeys(`ed25519:k${quarter}`);
    await actorOfPeer().sendEdu({ id: `${quarter}`, edu: { edu_type: "m.test", content: {} } });
    everyQuarter(quarter);
    await scene.federation.advance(15 * minute);
  }
}

describe("a server that is gone", () => {
  it.each<[string, (path: string) => Response | null]>([
    ["refuses connections", refuse],
    ["is a proxy with nobody behind it", () => new Response("", { status: 502 })],
    ["fails at everything", () => new Response("", { status: 500 })],
    ["has another owner, who knows nothing of Matrix", () => new Response("<html>", { status: 404 })],
    [
      "still says whom it delegates to",
      (path) =>
        path === wellKnown
          ? Response.json({ "m.server": "two.test:443" }, { headers: { "Cache-Control": "max-age=0" } })
          : refuse(),
    ],
  ])("is asked at most 30 times a day, all requests counted, when it %s", async (_what, does) => {
    const roomId = await scene.room(peer);
    host = does;
    await liveForADay(roomId);
    expect(requests.length).toBeLessThanOrEqual(maxRequestsPerDay);
    expect(requests.length).toBeGreaterThan(15);
    await liveForADay(roomId);
    expect(requests.length).toBeLessThanOrEqual(maxRequestsPerDay);
  });

  it("is not asked more often because its actor loses its memory", async () => {
    const roomId = await scene.room(peer);
    host = refuse;
    await liveForADay(roomId, () => scene.server.evict());
    expect(requests.length).toBeLessThanOrEqual(maxRequestsPerDay);
  });

  it("costs one row for the room, and one each for the transaction, the route and the account of attempts", async () => {
    const roomId = await scene.room(peer);
    host = refuse;
    const before = scene.server.sql("room", roomId).one<{ pages: number }>("SELECT COUNT(*) AS pages FROM wake_pages");
    for (let hours = 0; hours < 24; hours += 1) {
      await scene.say(roomId, `message ${hours}`);
      await scene.federation.advance(hour);
    }
    expect(["outbound_rooms", "outbox", "routes", "contact", "inbox_events"].map(rowsOf)).toEqual([1, 1, 1, 1, 0]);
    const after = scene.server.sql("room", roomId).one<{ pages: number }>("SELECT COUNT(*) AS pages FROM wake_pages");
    expect(after).toEqual(before);
  });

  it("leaves none of its events waiting that nobody else can complete", async () => {
    const roomId = await scene.room(peer);
    const built = await scene.join(roomId, peer, "carol");
    const carol = user(`@carol:${peer.name}`);
    const messages = Array.from({ length: 60 }, (_, index) => built.message(carol, `message ${index}`));
    ok(await send({ server: scene.server, peer }, { pdus: messages.slice(-3) }));
    host = refuse;
    expect(rowsOf("inbox_events")).toBe(3);
    requests.length = 0;
    for (let quarter = 0; quarter < 12; quarter += 1) {
      scene.server.evict();
      await scene.federation.advance(15 * minute);
    }
    expect(rowsOf("inbox_events")).toBe(0);
    expect(requests.length).toBeLessThanOrEqual(10);
  });

  it("gets everything within an hour of its return", async () => {
    const roomId = await scene.room(peer);
    host = refuse;
    await liveForADay(roomId);
    host = () => null;
    await scene.federation.advance(hour);
    expect(new Set(peer.bodies()).size).toBe(96);
    expect(rowsOf("contact")).toBe(0);
  });

  it("gets everything at once when anything is answered", async () => {
    const roomId = await scene.room(peer);
    host = refuse;
    await scene.say(roomId, "while you were away");
    await scene.federation.advance(10_000);
    host = () => null;
    await askKeys("ed25519:new");
    await scene.federation.settle();
    expect(peer.bodies()).toEqual(["while you were away"]);
  });

  it("is looked for where it is now when it speaks to us from elsewhere", async () => {
    const roomId = await scene.room(peer);
    const built = await scene.join(roomId, peer, "carol");
    host = refuse;
    await liveForADay(roomId);
    const reached: string[] = [];
    const inner = scene.federation.foreign.get(peer.name);
    host = (path) => (path === wellKnown ? Response.json({ "m.server": "new.test:1" }) : refuse());
    scene.federation.foreign.set("new.test", (request) => {
      reached.push(new URL(request.url).pathname);
      return Response.json({ pdus: {} });
    });
    expect(inner).toBeDefined();
    ok(await send({ server: scene.server, peer }, { pdus: [built.message(user(`@carol:${peer.name}`), "back")] }));
    await scene.federation.settle();
    expect(reached.length).toBeGreaterThan(0);
  });

  it("may still be asked by the server itself, to be let in", async () => {
    const roomId = await scene.room(peer);
    host = refuse;
    await liveForADay(roomId);
    requests.length = 0;
    const wanted = { keyIds: ["ed25519:new"], validAt: null, isForStranger: true };
    await actorOfPeer().getVerifyKeys(wanted);
    expect(requests.filter((path) => path.startsWith("/_matrix/key/"))).toHaveLength(1);
  });

  it("leaves nothing behind where it never was there", async () => {
    host = refuse;
    for (let turn = 0; turn < 10; turn += 1) await askProfile();
    expect(requests.length).toBeLessThanOrEqual(6);
    expect(["routes", "contact", "outbox"].map(rowsOf)).toEqual([0, 0, 0]);
  });
});

describe("a server that is there", () => {
  it("is not left alone for what it cannot do", async () => {
    await scene.room(peer);
    host = (path) => (path.includes("/query/") ? Response.json({ errcode: "M_UNKNOWN" }, { status: 500 }) : null);
    for (let turn = 0; turn < 40; turn += 1) await askProfile();
    requests.length = 0;
    await askProfile();
    expect(requests).toHaveLength(1);
  });
});

describe("looking for a server", () => {
  const request = (path: string) =>
    requestPeer(scene.server.egressContext(), {
      destination: trusted.serverName(peer.name),
      method: "GET",
      path,
      content: null,
      isSigned: false,
      timeoutMs: 1_000,
      maxBytes: 10_000,
    });

  it("is done once, however many ask at the same time", async () => {
    let answer: () => void = () => undefined;
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    scene.federation.beforeExchange = async (_from, to, path) => {
      if (to !== peer.name) return;
      requests.push(path);
      if (path === wellKnown) await answered;
    };
    const all = Array.from({ length: 50 }, () => request("/_matrix/key/v2/server"));
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(requests).toEqual([wellKnown]);
    answer();
    for (const { kind } of await Promise.all(all)) expect(kind).toBe("answered");
    expect(requests.filter((path) => path === wellKnown)).toHaveLength(1);
    expect(requests).toHaveLength(51);
  });

  it("is not done again right after it was in vain", async () => {
    host = refuse;
    for (let turn = 0; turn < 3; turn += 1) await request("/_matrix/key/v2/server");
    expect(requests.filter((path) => path === wellKnown)).toHaveLength(1);
  });
});
