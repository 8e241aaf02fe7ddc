/** A large room of several servers, as one of them tells it: its members are in a file, and never in memory. */
import { closeSync, openSync, writeSync } from "node:fs";
import type { RoomId } from "../../shared/ids.ts";
import { type JsonObject, withFields } from "../../shared/json.ts";
import { eventFromPdu, type MatrixEvent } from "../../shared/matrix/event.ts";
import { RoomBuilder, user } from "../support/room-builder.ts";

/** Servers whose users are in the room; the first is the one that is asked to let us join. */
export const serverNames: readonly string[] = Array.from({ length: 20 }, (_, index) => `server${index}.test`);

/** Events after which what was made is forgotten. */
const batchSize = 1_000;

export interface JoinedRoom {
  readonly roomId: RoomId;
  /** What `state` answers. */
  readonly file: string;
  /** What `make_join` answers. */
  template(userId: string): JsonObject;
  /** What `send_join` answers, members left out. */
  answer(join: JsonObject): JsonObject;
}

/** Makes a room with so many members beside its creator, and writes its whole state into a file. */
export function writeRoom(members: number, file: string): JoinedRoom {
  const base = RoomBuilder.open({ creator: user(`@creator:${serverNames[0]}`) });
  const own = [...base.state.values()];
  const descriptor = openSync(file, "w");
  writeSync(descriptor, `{"pdus":[${own.map(({ pdu }) => JSON.stringify(pdu)).join(",")}`);
  let head: MatrixEvent = base.byId(base.heads[0] ?? base.create.eventId);
  for (let start = 0; start < members; start += batchSize) {
    const batch = RoomBuilder.continuing(base.rules.version, own, [head]);
    let text = "";
    for (let index = start; index < Math.min(start + batchSize, members); index += 1) {
      const name = user(`@user${index}:${serverNames[index % serverNames.length]}`);
      head = batch.member(name, "join", name, { displayname: `User number ${index}` });
      text += `,${JSON.stringify(head.pdu)}`;
    }
    writeSync(descriptor, text);
  }
  writeSync(descriptor, '],"auth_chain":[]}');
  closeSync(descriptor);
  const described = RoomBuilder.continuing(base.rules.version, own, [head]);
  return {
    roomId: base.roomId,
    file,
    template: (userId) => {
      const sender = user(userId);
      const content = { membership: "join" };
      const event = described.fork().make({ sender, type: "m.room.member", stateKey: sender, content });
      const offered = withFields(event.pdu, { signatures: undefined, hashes: undefined, event_id: undefined });
      return { room_version: base.rules.version, event: offered };
    },
    answer: (join) => ({
      state: own.filter(({ type }) => type !== "m.room.member").map(({ pdu }) => pdu),
      auth_chain: own.map(({ pdu }) => pdu),
      event: eventFromPdu(join, base.rules).pdu,
      members_omitted: true,
      servers_in_room: [...serverNames],
    }),
  };
}
