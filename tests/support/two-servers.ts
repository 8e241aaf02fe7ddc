/** Two servers of ours that know nothing of each other yet, with a user each. */
import type { JsonObject, JsonValue } from "../../shared/json.ts";
import { type FederatedReply, type FederatedServer, type FederatedUser, Federation } from "./federation.ts";

/** Alice of one.test and bob of two.test. */
export interface TwoServers {
  readonly federation: Federation;
  readonly one: FederatedServer;
  readonly two: FederatedServer;
  readonly alice: FederatedUser;
  readonly bob: FederatedUser;
}

export async function twoServers(): Promise<TwoServers> {
  const federation = new Federation();
  const [one, two] = [federation.server("one.test"), federation.server("two.test")];
  return { federation, one, two, alice: await one.user("alice"), bob: await two.user("bob") };
}

/** A room, public unless it is asked for otherwise, that all who should have heard of. */
export async function createRoom(
  { federation }: TwoServers,
  person: FederatedUser,
  body: JsonObject = {},
): Promise<string> {
  const reply = await person.post("v3/createRoom", { preset: "public_chat", ...body });
  if (reply.status !== 200) throw new Error(`no room: ${reply.text}`);
  await federation.settle();
  await federation.advance(31_000);
  return String(reply.body.room_id);
}

/** Bob joins a room of alice's server. */
export async function joinByBob({ federation, bob }: TwoServers, roomId: string): Promise<void> {
  const reply = await bob.post(`v3/join/${encodeURIComponent(roomId)}?via=one.test`);
  if (reply.status !== 200) throw new Error(`not joined: ${reply.text}`);
  await federation.settle();
}

/** The status of an answer, and its error code, if any. */
export function refusalIn({ status, body }: FederatedReply): [number, JsonValue | undefined] {
  return [status, body.errcode];
}
