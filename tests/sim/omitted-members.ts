/** Rooms that tell no members to servers that join and can do without, as large rooms do. */
import type { Sql } from "../../schema/sql.ts";
import type { JoinState } from "../../shared/rpc/room-resident.ts";
import type { ActorKind } from "./host.ts";

type Row = { event_id: string; type: string; auth: string };

/** A kind of room that is large, however few are in it. */
export function omittingMembers(kind: ActorKind): ActorKind {
  return {
    ...kind,
    start: (base, name, waiters) => {
      const running = kind.start(base, name, waiters);
      return { ...running, rpc: withoutMembers(running.rpc, base.sql) };
    },
  };
}

function withoutMembers(rpc: object, sql: Sql): object {
  const original: unknown = Reflect.get(rpc, "getJoinState");
  if (typeof original !== "function") throw new Error("the room has no getJoinState");
  const getJoinState = async (input: { eventId: string; omitMembers: boolean }): Promise<unknown> => {
    const answer = await Reflect.apply(original, rpc, [input]);
    return answer.ok && input.omitMembers ? { ok: true, value: omitted(sql, answer.value, input.eventId) } : answer;
  };
  return { ...rpc, getJoinState };
}

/** The state without its members, and the auth chains of what is left and of the join. */
function omitted(sql: Sql, told: JoinState, joinId: string): JoinState {
  const ids = JSON.stringify([...told.stateIds, ...told.authChainIds, joinId]);
  const rows = sql.all<Row>(
    "SELECT event_id, type, json -> '$.auth_events' AS auth FROM events WHERE event_id IN (SELECT value FROM json_each(?))",
    ids,
  );
  const byId = new Map(rows.map((row) => [row.event_id, row]));
  const stateIds = told.stateIds.filter((eventId) => byId.get(eventId)?.type !== "m.room.member");
  const chain = new Set<string>([...stateIds, joinId]);
  // Grows while it is gone through.
  for (const eventId of chain) for (const authId of authEventsOf(byId.get(eventId))) chain.add(authId);
  const known = new Set([...stateIds, joinId]);
  const authChainIds = [...told.stateIds, ...told.authChainIds].filter((id) => chain.has(id) && !known.has(id));
  return { ...told, stateIds, authChainIds, membersOmitted: true };
}

function authEventsOf(row: Row | undefined): string[] {
  const named: unknown = JSON.parse(row?.auth ?? "[]");
  return Array.isArray(named) ? named.map(String) : [];
}
