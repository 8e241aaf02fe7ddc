/** A Worker like the server's own whose rooms can also be built at any size and measured from inside. */
import { RoomActor as ServedRoomActor } from "../../actors/room/actor.ts";
import { type RoomContext, roomContext } from "../../actors/room/context.ts";
import { trusted } from "../../shared/ids.ts";
import { measureCanonicalJson, measureChecks } from "./core-checks.ts";
import type { Forks } from "./core-measures.ts";
import { findLargeRoom, makeLargeRoom, roomIdOf } from "./core-room.ts";
import { measureReading, measureResolution, measureSends } from "./core-state.ts";

// All that the server exports but its rooms, which are here below.
export * from "../../workers/gateway/index.ts";

/** A room actor with what the benchmark asks of it. */
export class RoomActor extends ServedRoomActor {
  readonly #room: RoomContext = roomContext(this.context, trusted.roomId(this.name));

  build(size: number) {
    return makeLargeRoom(this.#room, size);
  }
  reading() {
    return measureReading(findLargeRoom(this.#room));
  }
  resolution(input: Forks) {
    return measureResolution(findLargeRoom(this.#room), input);
  }
  sends(round: number, count: number) {
    return measureSends(this.#room, round, count);
  }
}

interface Env {
  readonly ROOM: DurableObjectNamespace<RoomActor>;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const number = (name: string): number => Number(searchParams.get(name));
    const room = env.ROOM.getByName(roomIdOf(searchParams.get("room") ?? "large"));
    switch (pathname) {
      case "/checks":
        return Response.json(measureChecks());
      case "/canonicalJson":
        return Response.json(measureCanonicalJson());
      case "/build":
        return Response.json(await room.build(number("size")));
      case "/reading":
        return Response.json(await room.reading());
      case "/resolution":
        return Response.json(
          await room.resolution({ forks: number("forks"), changes: number("changes"), rounds: number("rounds") }),
        );
      case "/sends":
        return Response.json(await room.sends(number("round"), number("count")));
      default:
        return new Response("unknown", { status: 404 });
    }
  },
};
