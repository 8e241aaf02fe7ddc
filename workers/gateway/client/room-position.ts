import type { Services } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import type { RoomId, UserId } from "../../../shared/ids.ts";
import { parseRoomToken } from "../../../shared/matrix/stream-token.ts";

/**
 * The room position that a pagination token stands for: a room token says it, a sync token is the user's to translate.
 * @throws MatrixError M_INVALID_PARAM when it is neither
 */
export async function roomPositionOf(
  { actors }: Services,
  { token, userId, roomId }: { token: string | undefined; userId: UserId; roomId: RoomId },
): Promise<number | null> {
  if (token === undefined || token === "") return null;
  const position = parseRoomToken(token);
  if (position !== null) return position;
  if (!token.startsWith("s")) throw errors.invalidParam("Not a token of this server");
  return await actors.user(userId).roomPositionAt(token, roomId);
}
