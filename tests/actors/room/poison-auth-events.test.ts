/** A flood of events that name as many auth events as they may: it costs little to refuse, and fills no index. */
import { describe, expect, it } from "vitest";
import { maxPdus, receivePdus } from "../../../actors/room/receive.ts";
import type { EventId } from "../../../shared/ids.ts";
import { signEvent } from "../../../shared/matrix/signing.ts";
import { testKeyOf } from "../../support/room-builder.ts";
import { currentLines, endsOf, otherServer, testKeys } from "./foreign.ts";
import { alice, bob, kinds, scene } from "./foreign-scene.ts";
import type { TestRoom } from "./world.ts";

const size = 10_000;
const named = 10;

function indexRows(room: TestRoom): number {
  const query = "SELECT (SELECT COUNT(*) FROM event_auth_chains) + (SELECT COUNT(*) FROM event_auth_chain_links) AS n";
  return room.sql.one<{ n: number }>(query)?.n ?? 0;
}

describe("10,000 events with ten auth events each", () => {
  it("are rejected, cost no more rows than any event and none in the index, and the room goes on", async () => {
    const { built, room } = await scene("12");
    const recent: EventId[] = built.events.map((event) => event.eventId);
    const { pdu } = built.make({ sender: bob, type: "m.x", stateKey: "" });
    const [head] = built.heads;
    const key = testKeyOf(otherServer);
    const before = { index: indexRows(room), rows: room.sql.usage.rowsWritten };
    let prev = head ?? "";
    let cpuMs = 0;
    for (let made = 0; made < size; ) {
      const batch = Array.from({ length: maxPdus }, () => {
        made += 1;
        // Each follows the last and names the ten before it: a chain both deep and wide.
        const changes = { state_key: `${made}`, prev_events: [prev], auth_events: recent.slice(-named) };
        return signEvent({ ...pdu, ...changes, hashes: {}, signatures: {} }, built.rules, otherServer, key);
      });
      const start = process.threadCpuUsage();
      const outcomes = await receivePdus(room.context, otherServer, batch, testKeys);
      const { user, system } = process.threadCpuUsage(start);
      cpuMs += (user + system) / 1_000;
      for (const outcome of outcomes) {
        if (outcome.kind !== "rejected") throw new Error(`one was ${outcome.kind}`);
        recent.push(outcome.eventId);
        prev = outcome.eventId;
      }
    }
    expect(indexRows(room)).toBe(before.index);
    // The event and its edge, each with its indexes.
    expect((room.sql.usage.rowsWritten - before.rows) / size).toBeLessThanOrEqual(5.01);
    // Most of it is the check of the signatures.
    expect(cpuMs / size).toBeLessThan(3);
    expect(endsOf(room)).toEqual([head]);
    expect(await kinds(room, [built.send({ sender: alice, type: "m.x" })])).toEqual(["accepted"]);
    currentLines(room);
  }, 120_000);
});
