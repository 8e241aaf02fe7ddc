import type { SigningKey } from "../../shared/rpc/server.ts";
import type { RoomContext } from "./context.ts";

/** The server's signing key: asked for once in an instance's life, always before a transaction. */
export async function fetchSigningKey(room: RoomContext): Promise<SigningKey> {
  room.memory.signingKey ??= await room.actors.server(room.config.serverName).getSigningKey();
  return room.memory.signingKey;
}
