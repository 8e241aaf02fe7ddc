import type { RoomId, ServerName, UserId } from "../ids.ts";
import { meter, metered } from "../meter.ts";
import { type Client, type Reply, unwrap } from "./reply.ts";
import type { RoomRpc } from "./room.ts";
import type { ServerRpc } from "./server.ts";
import type { UserRpc } from "./user.ts";

/** Typed clients of all actors, by the name of the thing that each owns. */
export interface Actors {
  room(roomId: RoomId): Client<RoomRpc>;
  user(userId: UserId): Client<UserRpc>;
  server(serverName: ServerName): Client<ServerRpc>;
}

/** A namespace of Durable Objects, as far as it is used here. */
export interface ActorNamespace {
  getByName(name: string): object;
}

/** Makes the typed clients over the three namespaces. */
export function actorsOf(namespaces: { room: ActorNamespace; user: ActorNamespace; server: ActorNamespace }): Actors {
  return {
    room: (roomId) => clientOf<RoomRpc>(() => namespaces.room.getByName(roomId)),
    user: (userId) => clientOf<UserRpc>(() => namespaces.user.getByName(userId)),
    server: (serverName) => clientOf<ServerRpc>(() => namespaces.server.getByName(serverName)),
  };
}

type Stub = Record<string, (...args: unknown[]) => Promise<Reply<unknown>>>;

/**
 * Wraps a stub so that each method unwraps its reply. The one cast on the actor boundary stands here: `Client<Rpc>` is
 * exactly what the proxy does, which the type system cannot see.
 */
export function clientOf<Rpc>(stub: () => object): Client<Rpc> {
  const proxy = new Proxy(
    {},
    {
      get(_target, method) {
        // A client is not a promise: without this, `await actors.room(id)` would call a remote method named `then`.
        if (typeof method !== "string" || method === "then") return undefined;
        return async (...args: unknown[]) => {
          meter.rpcCalls += 1;
          return await metered(async () => {
            const target = stub() as Stub;
            // Called as a member: on a stub, even `apply` of a method would be a remote method.
            const answer = target[method]?.(...args);
            if (answer === undefined) throw new Error(`no such actor method: ${method}`);
            return unwrap(await answer);
          });
        };
      },
    },
  );
  return proxy as Client<Rpc>;
}
