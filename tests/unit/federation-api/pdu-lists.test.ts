import { describe, expect, it } from "vitest";
import { backfillRoom, getMissingPreviousEvents } from "../../../shared/federation-api/backfill.ts";
import { getEvent, getEventAuth } from "../../../shared/federation-api/events.ts";
import { trusted } from "../../../shared/ids.ts";
import { maxSignedJsonDepth } from "../../../shared/json.ts";
import type { EgressRpc } from "../../../shared/rpc/egress.ts";
import type { Client } from "../../../shared/rpc/reply.ts";
import { noEgress } from "../../support/no-egress.ts";

const peer = trusted.serverName("peer.test");
const roomId = trusted.roomId("!room:peer.test");
const eventId = trusted.eventId("$event");

/** The one door to the network, behind which somebody says this. */
function answering(text: string): Client<EgressRpc> {
  return { ...noEgress, request: async () => ({ kind: "answered", status: 200, text }) };
}

type Ask = (egress: Client<EgressRpc>) => Promise<{ ok: boolean; value?: unknown }>;

const nested = (depth: number): string => `${"[".repeat(depth)}1${"]".repeat(depth)}`;
const good = ['{"a":1}', '{"b":[{"c":"\\\\ ] } \\" ["}]}', '{"d":"\u{1F600}"}', '{"depth":9223372036854775807}'];

describe("a list of events in an answer", () => {
  const asks: readonly [name: string, list: string, ask: Ask][] = [
    ["backfillRoom", "pdus", (egress) => backfillRoom(egress, peer, roomId, { from: [eventId], limit: 20 })],
    [
      "getMissingPreviousEvents",
      "events",
      (egress) =>
        getMissingPreviousEvents(egress, peer, roomId, { earliestEvents: [], latestEvents: [eventId], minDepth: 0 }),
    ],
    ["getEventAuth", "auth_chain", (egress) => getEventAuth(egress, peer, { roomId, eventId })],
  ];
  const bad: readonly [what: string, entry: string][] = [
    ["is nested deeper than anything that is walked", `{"x":${nested(maxSignedJsonDepth)}}`],
    ["is nested a hundred thousand times", `{"x":${nested(100_000)},"y":{"z":${nested(100_000)}}}`],
    ["holds a lone surrogate", '{"x":"\\ud800"}'],
    ["has a lone surrogate for a key", '{"\\udc00":1}'],
    ["holds a number that no double holds", '{"x":1e400}'],
    ["is a list", "[]"],
    ["is null", "null"],
    ["is larger than an event", `{"x":"${"y".repeat(70_000)}"}`],
  ];

  it.each(asks.flatMap(([name, list, ask]) => bad.map(([what, entry]) => [name, what, list, entry, ask] as const)))(
    "%s leaves out an entry that %s, and only that",
    async (_name, what, list, entry, ask) => {
      const egress = (entries: string[]) => answering(`{"${list}":[${entries.join()}]}`);
      for (const at of [0, 2, good.length]) {
        const asked = await ask(egress([...good.slice(0, at), entry, ...good.slice(at)]));
        const expected = what.startsWith("is nested") ? expect.arrayContaining(good) : good;
        expect(asked).toEqual({ ok: true, value: expected });
        const texts: unknown[] = Array.isArray(asked.value) ? asked.value : [];
        expect(texts.length - good.length).toBeLessThanOrEqual(what.startsWith("is nested") ? 1 : 0);
        for (const text of texts) expect(() => JSON.parse(String(text))).not.toThrow();
      }
    },
  );

  it("is none where the answer is not JSON", async () => {
    for (const text of ["", '{"pdus":[', `{"pdus":[${"[".repeat(100_000)}]}`, '{"pdus":{}}']) {
      expect(await getEvent(answering(text), peer, eventId)).toMatchObject({ ok: false });
    }
  });
});
