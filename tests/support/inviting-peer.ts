/** A server that a test plays, with a room that ours is not in, and what it sends to invite a user of ours into it. */
import { type JsonObject, type JsonValue, withFields } from "../../shared/json.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { strippedStateEvents } from "../../shared/matrix/stripped-state.ts";
import type { FederatedReply, FederatedServer, Federation } from "./federation.ts";
import { RoomBuilder, type RoomOptions, user } from "./room-builder.ts";
import { type PeerRequestOptions, TestPeer } from "./test-peer.ts";

export const mallory = user("@mallory:peer.test");

/** What a request says otherwise than it should. */
export interface InviteChanges {
  readonly roomId?: string;
  readonly eventId?: string;
  readonly roomVersion?: JsonValue | undefined;
  readonly state?: JsonValue | undefined;
}

export class InvitingPeer {
  readonly peer: TestPeer;
  readonly room: RoomBuilder;
  readonly #server: FederatedServer;

  constructor(federation: Federation, server: FederatedServer, options: RoomOptions = {}) {
    this.peer = new TestPeer(federation, "peer.test");
    this.#server = server;
    this.room = RoomBuilder.open({ creator: mallory, startTs: federation.clock.now(), ...options });
    this.room.sendState(mallory, "m.room.name", { name: "Attic" });
  }

  /** An honest invite. */
  invite(target: string, content: JsonObject = {}): MatrixEvent {
    return this.room.make({
      sender: mallory,
      type: "m.room.member",
      stateKey: target,
      content: { membership: "invite", ...content },
    });
  }

  /** The state that describes the room, as PDUs. */
  state(): JsonObject[] {
    return strippedStateEvents(this.room.lookup, [["m.room.member", mallory]]).map((event) => event.pdu);
  }

  send(event: MatrixEvent, changes: InviteChanges = {}, options: PeerRequestOptions = {}): Promise<FederatedReply> {
    return this.sendPdu(event.pdu, { eventId: event.eventId, ...changes }, options);
  }

  /** By the newer endpoint. */
  sendPdu(pdu: JsonObject, changes: InviteChanges, options: PeerRequestOptions = {}): Promise<FederatedReply> {
    const { roomId = this.room.roomId, eventId = "$nothing" } = changes;
    const { roomVersion = this.room.rules.version, state = this.state() } = changes;
    const body = withFields(
      { event: pdu },
      {
        room_version: "roomVersion" in changes ? changes.roomVersion : roomVersion,
        invite_room_state: "state" in changes ? changes.state : state,
      },
    );
    const path = `/_matrix/federation/v2/invite/${encodeURIComponent(roomId)}/${encodeURIComponent(eventId)}`;
    return this.peer.request(this.#server, "PUT", path, body, options);
  }

  /** By the older endpoint. */
  sendV1(event: MatrixEvent): Promise<FederatedReply> {
    const { roomId } = this.room;
    const path = `/_matrix/federation/v1/invite/${encodeURIComponent(roomId)}/${encodeURIComponent(event.eventId)}`;
    const body = withFields(event.pdu, { unsigned: { invite_room_state: this.state() } });
    return this.peer.request(this.#server, "PUT", path, body);
  }
}
