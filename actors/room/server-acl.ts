/** Whom the room's server ACL shuts out. */
import type { EventId, ServerName } from "../../shared/ids.ts";
import { compileServerAcl, isServerAllowed, type ServerAcl } from "../../shared/matrix/server-acl.ts";
import type { RoomContext } from "./context.ts";
import { findCurrentState } from "./state.ts";
import { Cache } from "./store/cache.ts";
import type { RoomRead } from "./store/index.ts";

/** Servers whose verdict is remembered. */
const maxVerdicts = 1_000;

/** An ACL that was compiled once, and what it said. An ACL of 64 KiB is read and matched in milliseconds, not for nothing. */
interface CompiledAcl {
  readonly eventId: EventId;
  readonly acl: ServerAcl;
  readonly verdicts: Cache<ServerName, boolean>;
}

/** By the living instance of a room. */
const compiled = new WeakMap<RoomContext, CompiledAcl>();

/**
 * Whether the room's current ACL keeps a server from taking part.
 * @see https://spec.matrix.org/v1.19/server-server-api/#server-access-control-lists-acls
 */
export function isShutOut(room: RoomContext, store: RoomRead, server: ServerName): boolean {
  const record = findCurrentState(store, "m.room.server_acl", "");
  if (record === null) return false;
  let known = compiled.get(room);
  if (known === undefined || known.eventId !== record.eventId) {
    known = { eventId: record.eventId, acl: compileServerAcl(record.event.content), verdicts: new Cache(maxVerdicts) };
    compiled.set(room, known);
  }
  const remembered = known.verdicts.get(server);
  if (remembered !== undefined) return remembered;
  const verdict = !isServerAllowed(known.acl, server);
  known.verdicts.set(server, verdict);
  return verdict;
}
