/** Rooms of which a peer has events that are not here, for tests of how they are sought. */
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import type { Federation } from "./federation.ts";
import { type SharedRoom, shareRoom } from "./shared-room.ts";

/** A room in which the peer's user may change the state. */
export const roomWithPower = (federation: Federation, version = "12"): Promise<SharedRoom> =>
  shareRoom(federation, version, {
    name: "Attic",
    // A creator of version 12 has more power than any level.
    power_level_content_override: {
      users: { "@bob:peer.test": 50, ...(version === "12" ? {} : { "@alice:one.test": 100 }) },
    },
  });

/** Messages of the peer's user, one after the other, which nobody is told of. */
export function messages({ built, bob }: SharedRoom, count: number, name = "m"): MatrixEvent[] {
  return Array.from({ length: count }, (_, index) => built.message(bob, `${name}${index + 1}`));
}

/** What the peer was asked at an endpoint. */
export const asked = ({ peer }: SharedRoom, endpoint: string) =>
  peer.received.filter(({ path }) => path.includes(`/${endpoint}/`));

/** How many events of the peer wait for others. */
export const waiting = ({ server }: SharedRoom): number =>
  server.sql("server", "peer.test").one<{ count: number }>("SELECT COUNT(*) AS count FROM inbox_events")?.count ?? 0;

/** The room's name, as the server's own user is told. */
export async function roomName({ alice, roomId }: SharedRoom): Promise<string> {
  const reply = await alice.get(`v3/rooms/${encodeURIComponent(roomId)}/state/m.room.name`);
  return String(reply.body.name);
}

/** The id of an event that must be there. */
export function idOf(event: MatrixEvent | undefined): MatrixEvent["eventId"] {
  if (event === undefined) throw new Error("there is no such event");
  return event.eventId;
}

export const bodyOf = (event: MatrixEvent): string => String(event.content.body);
