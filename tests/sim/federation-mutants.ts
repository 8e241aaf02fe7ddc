/** Bugs of federation, planted from outside, to show that the simulation of several servers finds such. */
import type { ActorContext } from "../../actors/context.ts";
import type { Sql } from "../../schema/sql.ts";
import type { Actors } from "../../shared/rpc/actors.ts";
import { ignoring, type Mutant, planted, replacing, writeBehind } from "./mutants.ts";

export const federationMutants: readonly Mutant[] = [
  { name: "servers are never woken", kinds: planted("room", { actors: withoutServerWakes }) },
  { name: "the room acknowledges before it commits", kinds: planted("room", { sql: writeBehind }) },
  { name: "the state is that of whatever came last", kinds: planted("room", { sql: lastArrivalWins }) },
  {
    name: "events that wait for others are acknowledged and forgotten",
    kinds: planted("server", { sql: (base) => ignoring(base.sql, /INTO inbox_events\b/) }),
  },
  { name: "what fails is never tried again", kinds: planted("server", { alarm: () => ({ ensure: () => undefined }) }) },
  { name: "the last event of each batch is left out", kinds: planted("room", { rpc: withoutLastEvent }) },
  {
    name: "messages to devices of other servers are acknowledged and forgotten",
    kinds: planted("server", { sql: (base) => ignoring(base.sql, /INTO outbound_edus\b/) }),
  },
  {
    name: "messages from other servers are taken as often as they come",
    kinds: planted("user", { sql: (base) => ignoring(base.sql, /INTO to_device_received\b/) }),
  },
  {
    name: "receipts that no room has taken are forgotten",
    kinds: planted("server", { sql: (base) => ignoring(base.sql, /INTO inbox_receipts\b/) }),
  },
  {
    name: "positions move on before anything was delivered",
    kinds: planted("server", { sql: withoutPendingTransaction }),
  },
];

/** The room takes each wake of a server for delivered and read. */
function withoutServerWakes(base: ActorContext): Actors {
  const server: Actors["server"] = (name) =>
    replacing(base.actors.server(name), "roomAdvanced", async (wake) => ({ knownPosition: Number(wake.head) }));
  return { ...base.actors, server };
}

/** Every new end of the graph takes the place of all others. */
function lastArrivalWins({ sql }: ActorContext): Sql {
  return {
    ...sql,
    run: (query, ...bindings) => {
      if (/INTO event_forward_extremities\b/.test(query)) sql.run("DELETE FROM event_forward_extremities");
      sql.run(query, ...bindings);
    },
  };
}

function withoutLastEvent(rpc: object): object {
  const original: unknown = Reflect.get(rpc, "takeOutbound");
  if (typeof original !== "function") throw new Error("the room has no takeOutbound");
  const takeOutbound = async (input: object): Promise<unknown> => {
    const answer = await Reflect.apply(original, rpc, [input]);
    if (!answer.ok) return answer;
    return { ok: true, value: { ...answer.value, pdus: answer.value.pdus.slice(0, -1) } };
  };
  return { ...rpc, takeOutbound };
}

/** An instance takes what an earlier one was about to send for sent. */
function withoutPendingTransaction({ sql }: ActorContext): Sql {
  const hasTables = sql.one("SELECT 1 AS one FROM sqlite_master WHERE name = 'outbound_rooms'") !== null;
  if (hasTables) sql.run("UPDATE outbound_rooms SET position = head");
  return sql;
}
