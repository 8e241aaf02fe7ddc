import { describe, expect, it } from "vitest";
import { parseAuthorization, verifyRequest } from "../../../shared/federation-api/x-matrix.ts";
import { trusted } from "../../../shared/ids.ts";
import { parseSignedJson } from "../../../shared/json-text.ts";
import { publicKeyOf } from "../../../shared/matrix/signing.ts";
import type { OutboundTransaction } from "../../../shared/rpc/egress.ts";
import type { DeliveryOutcome } from "../../../shared/rpc/server-peer.ts";
import type { EgressContext } from "../../../workers/egress/context.ts";
import { deliver } from "../../../workers/egress/deliver.ts";
import { egressRpc } from "../../../workers/egress/rpc.ts";
import { type Answer, EgressWorld } from "./world.ts";

const own = trusted.serverName("own.test");
const peer = trusted.serverName("peer.test:8448");
const path = "/_matrix/federation/v1/send/t%201";
const transaction: OutboundTransaction = {
  destination: peer,
  route: { targets: [{ host: "peer.test", port: 8448 }], hostHeader: peer, tlsName: "peer.test" },
  txnId: "t 1",
  pdus: ['{"depth":9223372036854775807,"content":{"n":1.0}}'],
  edus: [{ edu_type: "m.typing", content: {} }],
  originServerTs: 1000,
};

/** Sends the transaction; how it ended is what the destination's actor is told. */
async function send(answer: Answer | null, changes: Partial<OutboundTransaction> = {}) {
  const world = new EgressWorld({ hosts: answer === null ? {} : { "peer.test:8448": { [path]: answer } } });
  const told: DeliveryOutcome[] = [];
  const { actors } = world.egress;
  const listening: EgressContext["actors"] = {
    ...actors,
    server: (name) =>
      Object.assign(Object.create(actors.server(name)), {
        transactionEnded: async ({ outcome }: { outcome: DeliveryOutcome }) => void told.push(outcome),
      }),
  };
  await deliver({ ...world.egress, actors: listening }, { ...transaction, ...changes });
  return { world, outcome: told[0], told };
}

const status =
  (code: number, json: object = {}, headers: Record<string, string> = {}) =>
  () =>
    Response.json(json, { status: code, headers });

/** What was logged but for the daily course of things. */
const warnings = (world: EgressWorld) => world.server.logged.filter(({ level }) => level !== "info");

describe("deliver", () => {
  it("sends events as they are, digit for digit, signed as the receiver sees them", async () => {
    const { world, told } = await send(status(200, { pdus: {} }));
    expect(told).toEqual([{ kind: "delivered" }]);
    const [attempt] = world.attempts;
    const body = attempt?.body ?? "";
    expect(body).toBe(
      '{"origin":"own.test","origin_server_ts":1000,"pdus":[{"depth":9223372036854775807,"content":{"n":1.0}}],"edus":[{"edu_type":"m.typing","content":{}}]}',
    );
    const key = await world.server.actors.server(own).getSigningKey();
    const content = parseSignedJson(body);
    const signatures = parseAuthorization(attempt?.headers.Authorization ?? "") ?? [];
    const request = { origin: own, destination: peer, method: "PUT", uri: path, content };
    expect(verifyRequest(request, signatures, new Map([[key.keyId, publicKeyOf(key)]]))).toBe(true);
  });

  it("says how old each event is, beside what is signed, where it has room for that", async () => {
    const event = (fields: object) => JSON.stringify({ depth: 1, ...fields });
    const sizeOf = (n: number) => event({ x: `!${"é".repeat(n)}`, origin_server_ts: 900 });
    const whole = 32_747;
    expect(Buffer.byteLength(sizeOf(whole))).toBe(65_536);
    const { world } = await send(status(200), {
      pdus: [
        event({ origin_server_ts: 400 }),
        event({ origin_server_ts: 5_000 }),
        event({ origin_server_ts: "1" }),
        sizeOf(whole),
        sizeOf(whole - 30),
      ],
    });
    const body = world.attempts[0]?.body ?? "";
    const sent: { unsigned?: { age: number } }[] = JSON.parse(body).pdus;
    expect(sent.map(({ unsigned }) => unsigned)).toEqual([
      { age: 600 },
      { age: 0 },
      undefined,
      undefined,
      { age: 100 },
    ]);
    for (const pdu of sent) expect(Buffer.byteLength(JSON.stringify(pdu))).toBeLessThanOrEqual(65_536);
  });

  it("has delivered where single events were refused, or the answer's body is of no use", async () => {
    const refused = await send(status(200, { pdus: { $a: { error: "no" }, $b: {} } }));
    expect(refused.outcome).toEqual({ kind: "delivered" });
    expect(warnings(refused.world)).toMatchObject([
      { message: "a server refused some of our events", fields: { refused: 1 } },
    ]);
    expect((await send(() => new Response("<html>"))).outcome).toEqual({ kind: "delivered" });
    expect((await send(() => new Response("x".repeat(300_000)))).outcome).toEqual({ kind: "delivered" });
  });

  it.each([
    [500, 1],
    [502, 1],
    [503, 1],
    [504, 1],
    [429, 0],
  ])("has failed for now with status %i", async (code, requests) => {
    const reason = `status ${code} M_X`;
    const { outcome } = await send(status(code, { errcode: "M_X" }));
    expect(outcome).toEqual({ kind: "failed", reason, retryAfterMs: null, requests });
  });

  it.each([400, 401, 403, 404, 413, 302])("was refused with status %i", async (code) => {
    expect((await send(status(code))).outcome).toEqual({ kind: "refused", status: code, reason: `status ${code}` });
  });

  it.each([
    ["the header", status(429, { retry_after_ms: 5 }, { "Retry-After": "7" }), 7000],
    [
      "the header's date",
      status(503, {}, { "Retry-After": new Date(Date.UTC(2026, 10, 1, 0, 1)).toUTCString() }),
      60_000,
    ],
    ["the body", status(429, { retry_after_ms: 1500 }), 1500],
    ["no more than a day", status(429, { retry_after_ms: 1e300 }), 86_400_000],
    ["no less than nothing", status(429, { retry_after_ms: -5 }), 0],
    ["nothing that is no number", status(429, { retry_after_ms: "soon" }, { "Retry-After": "later" }), null],
  ])("says how long the peer wants to be left alone: %s", async (_what, answer, retryAfterMs) => {
    expect((await send(answer)).outcome).toMatchObject({ kind: "failed", retryAfterMs });
  });

  it("has failed when nobody answers", async () => {
    expect((await send(null)).outcome).toMatchObject({ kind: "failed", retryAfterMs: null, requests: 1 });
  });

  it("leaves out what cannot be sent, so that it holds up nothing else", async () => {
    const deep = `${'{"a":'.repeat(1500)}1${"}".repeat(1500)}`;
    const pdus = ['{"n":1}', '{"lone":"\\ud800"}', "not json", deep, '{"n":2}'];
    const { world, outcome } = await send(status(200), { pdus, edus: [{ bad: "\ud800" }, { good: 1 }] });
    expect(outcome).toEqual({ kind: "delivered" });
    expect(JSON.parse(world.attempts[0]?.body ?? "")).toMatchObject({
      pdus: [{ n: 1 }, { n: 2 }],
      edus: [{ good: 1 }],
    });
    expect(warnings(world)).toMatchObject([{ level: "error", fields: { dropped: 4 } }]);
  });

  it("reports also an error of our own", async () => {
    const { outcome, world } = await send(() => {
      throw new RangeError("a bug");
    });
    expect(outcome).toMatchObject({ kind: "failed" });
    expect(world.attempts).toHaveLength(1);
  });
});

describe("the RPC", () => {
  it("answers before the transaction is sent", async () => {
    const world = new EgressWorld();
    const tasks: (() => Promise<void>)[] = [];
    const rpc = egressRpc({ ...world.egress, background: (task) => void tasks.push(task) });
    expect(await rpc.deliver(transaction)).toEqual({ ok: true, value: null });
    expect([tasks.length, world.attempts.length]).toEqual([1, 0]);
  });
});
