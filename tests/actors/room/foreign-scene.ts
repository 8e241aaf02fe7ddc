/** A public room of another server, with two of its members, here too: what the tests of received events start from. */
import { expect } from "vitest";
import { serverNameOf, type UserId } from "../../../shared/ids.ts";
import { type JsonObject, withFields } from "../../../shared/json.ts";
import type { MatrixEvent } from "../../../shared/matrix/event.ts";
import { signEvent } from "../../../shared/matrix/signing.ts";
import { RoomBuilder, testKeyOf, user } from "../../support/room-builder.ts";
import { foreignRoom, give } from "./foreign.ts";
import { createWorld, type TestRoom, type World } from "./world.ts";

export const alice = user("@alice:example.org");
export const bob = user("@bob:example.org");
export const mallory = user("@mallory:evil.example");

export interface Scene {
  readonly built: RoomBuilder;
  readonly room: TestRoom;
  readonly world: World;
}

export async function scene(version = "12", powerLevels: JsonObject = {}): Promise<Scene> {
  const built = RoomBuilder.open({ version, powerLevels });
  built.join(bob);
  const world = createWorld();
  const room = foreignRoom(built, world);
  const outcomes = await give(room, built.events);
  expect(outcomes.map((outcome) => outcome.kind)).toEqual(built.events.map(() => "accepted"));
  return { built, room, world };
}

/** What becomes of events, each given in a batch of its own. */
export const kinds = async (room: TestRoom, events: readonly (MatrixEvent | JsonObject)[]): Promise<string[]> =>
  (await give(room, events)).map((outcome) => outcome.kind);

/** Lets a user of ours join where the room is now: an end of the graph that nothing of the builder follows. */
export async function joinHere(built: RoomBuilder, room: TestRoom, joiner: UserId): Promise<void> {
  const [outcome] = await give(room, [built.fork().join(joiner)]);
  if (outcome?.kind !== "accepted") throw new Error(`${joiner} could not join: ${JSON.stringify(outcome)}`);
}

/** An event with changes, hashed and signed anew. */
export function resigned(
  built: RoomBuilder,
  event: MatrixEvent,
  changes: JsonObject,
  signer = serverNameOf(event.sender),
): JsonObject {
  const pdu = withFields(event.pdu, { ...changes, signatures: undefined, hashes: undefined });
  return signEvent(pdu, built.rules, signer, testKeyOf(signer));
}
