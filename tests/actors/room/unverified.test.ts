import { expect, it } from "vitest";
import { forKeys, RemoteJoinStore } from "../../../actors/room/store/remote-join.ts";
import { UnverifiedStore } from "../../../actors/room/store/unverified.ts";
import { trusted } from "../../../shared/ids.ts";
import { RoomBuilder } from "../../support/room-builder.ts";
import { foreignRoom } from "./foreign.ts";

it("no more is kept than there is room for, first what waits for keys and is of the state", () => {
  const { sql } = foreignRoom(RoomBuilder.open());
  const waiting = new RemoteJoinStore(sql);
  const put = (name: string, isState: boolean, waitsFor: string): void => {
    const pdu = JSON.stringify({ type: "m.room.topic" });
    const event = { eventId: trusted.eventId(`$${name}`), isState, keys: {}, pdu };
    waiting.putWaiting(event, waitsFor === forKeys ? forKeys : trusted.eventId(waitsFor));
  };
  put("a", true, "$c");
  put("b", false, forKeys);
  put("c", true, forKeys);
  put("d", true, forKeys);
  const store = new UnverifiedStore(sql);
  const kept = () =>
    sql
      .all<{ event_id: string }>("SELECT event_id FROM partial_state_unverified ORDER BY event_id")
      .map((row) => row.event_id);
  store.keepFrom("remote_join_events", { limit: 2, mayTellAll: true });
  expect(kept()).toEqual(["$c", "$d"]);
  store.deleteAll();
  store.keepFrom("remote_join_events", { limit: 3, mayTellAll: true });
  expect(kept()).toEqual(["$b", "$c", "$d"]);
  store.deleteAll();
  store.keepFrom("remote_join_events", { limit: 9, mayTellAll: true });
  expect(kept()).toEqual(["$a", "$b", "$c", "$d"]);
});
