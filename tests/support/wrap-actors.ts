import type { Actors } from "../../shared/rpc/actors.ts";
import type { FederatedServer } from "./federation.ts";

/** Calls `before` before each call of an actor. @returns what undoes it. */
export function wrapActors(
  server: FederatedServer,
  before: (kind: keyof Actors, method: string) => void | Promise<void>,
): () => void {
  const original = { ...server.actors };
  for (const kind of ["room", "user", "server"] as const) {
    const clientOf = (name: never): object => {
      const client: object = original[kind](name);
      return new Proxy(client, {
        get: (target, method) => {
          const call: unknown = Reflect.get(target, method);
          if (typeof call !== "function" || typeof method !== "string") return call;
          return async (...args: unknown[]) => {
            await before(kind, method);
            return await Reflect.apply(call, target, args);
          };
        },
      });
    };
    Reflect.set(server.actors, kind, clientOf);
  }
  return () => void Object.assign(server.actors, original);
}
