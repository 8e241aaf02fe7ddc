/** A server of ours whose rooms played servers are in: what tests of what it sends start from. */
import type { Variables } from "../../shared/env.ts";
import type { JsonObject } from "../../shared/json.ts";
import { type FederatedReply, type FederatedUser, Federation } from "./federation.ts";
import { ReceivingPeer } from "./receiving-peer.ts";
import { user } from "./room-builder.ts";
import { joinByPeer } from "./shared-room.ts";

export const minute = 60 * 1000;
export const hour = 60 * minute;
export const day = 24 * hour;

const roomVersion = "12";

/** What a server that is down does. */
export const away = (): never => {
  throw new Error("connection refused");
};

/** The path of an endpoint of a room. */
export const inRoom = (roomId: string, path: string): string => `v3/rooms/${encodeURIComponent(roomId)}/${path}`;

/** `@bob` of a played server. */
export const bobOf = (peer: ReceivingPeer): string => `@bob:${peer.name}`;

/** The body of an answer that must be a success. */
export function ok(reply: FederatedReply): JsonObject {
  if (reply.status !== 200) throw new Error(`status ${reply.status}: ${reply.text}`);
  return reply.body;
}

/** What waits for a server at ours. */
export interface Outbox {
  readonly txn_id: string | null;
  readonly failures: number;
  readonly sent_ts: number | null;
}

/** `@alice` of `one.test`, her public rooms, and the servers in them. */
export class OutboundScene {
  readonly federation: Federation;
  readonly alice: FederatedUser;
  #transactions = 0;

  private constructor(federation: Federation, alice: FederatedUser) {
    this.federation = federation;
    this.alice = alice;
  }

  static async open(variables: Variables = {}): Promise<OutboundScene> {
    const federation = new Federation();
    return new OutboundScene(federation, await federation.server("one.test", variables).user("alice"));
  }

  get server() {
    return this.alice.server;
  }

  peer(name: string): ReceivingPeer {
    return new ReceivingPeer(this.federation, name);
  }

  /** A public room, with `@bob` of each of these servers in it. */
  async room(...peers: readonly ReceivingPeer[]): Promise<string> {
    const wish = { preset: "public_chat", room_version: roomVersion };
    const roomId = String(ok(await this.alice.post("v3/createRoom", wish)).room_id);
    for (const peer of peers) await this.join(roomId, peer);
    await this.federation.settle();
    return roomId;
  }

  /** Joins a user of a played server; gives the room as that server sees it. */
  join(roomId: string, peer: ReceivingPeer, name = "bob") {
    const { federation, server } = this;
    const at = { federation, server, peer, roomId, version: roomVersion };
    return joinByPeer(at, user(`@${name}:${peer.name}`));
  }

  /** Sends a message of alice's; gives its event id. */
  async say(roomId: string, body: string): Promise<string> {
    this.#transactions += 1;
    const path = inRoom(roomId, `send/m.room.message/t${this.#transactions}`);
    return String(ok(await this.alice.put(path, { msgtype: "m.text", body })).event_id);
  }

  outbox(peer: ReceivingPeer): Outbox | null {
    return this.server
      .sql("server", peer.name)
      .one<Outbox & Record<string, string | number | null>>("SELECT txn_id, failures, sent_ts FROM outbox");
  }

  close(): void {
    this.federation.close();
  }
}
