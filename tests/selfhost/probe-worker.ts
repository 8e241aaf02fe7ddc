/** A Worker that tells what the runner gives it, so that the runner can be tested without the homeserver. */
import { DurableObject } from "cloudflare:workers";

interface Bindings {
  readonly ROOM: DurableObjectNamespace<RoomActor>;
  readonly USER: DurableObjectNamespace<UserActor>;
  readonly SERVER: DurableObjectNamespace<ServerActor>;
  readonly DB: D1Database;
  readonly MEDIA: R2Bucket;
  readonly INTERNET: Fetcher;
}

class CountingActor extends DurableObject {
  count(): number {
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS counted (id INTEGER PRIMARY KEY)");
    sql.exec("INSERT INTO counted DEFAULT VALUES");
    return Number(sql.exec("SELECT count(*) AS n FROM counted").one().n);
  }
}
export class RoomActor extends CountingActor {}
export class UserActor extends CountingActor {}
export class ServerActor extends CountingActor {}

async function attempt(call: () => Promise<Response>): Promise<Response> {
  try {
    const response = await call();
    return Response.json({ status: response.status, text: await response.text() });
  } catch (thrown) {
    return Response.json({ refused: String(thrown) });
  }
}

async function readSocket(socket: Socket): Promise<Response> {
  const writer = socket.writable.getWriter();
  await writer.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"));
  return new Response(socket.readable);
}

async function answer(request: Request, env: Bindings): Promise<Response> {
  const url = new URL(request.url);
  const target = url.searchParams.get("url") ?? "";
  switch (url.pathname) {
    case "/variables":
      return Response.json(Object.fromEntries(Object.entries(env).filter(([, value]) => typeof value === "string")));
    case "/client":
      return Response.json({ cf: request.cf ?? null, headers: [...request.headers] });
    case "/storage": {
      const row = await env.DB.prepare("SELECT 1 AS one").first<{ one: number }>();
      await env.MEDIA.put("key", "stored");
      const stored = await (await env.MEDIA.get("key"))?.text();
      const names = [env.ROOM.getByName("a"), env.USER.getByName("a"), env.SERVER.getByName("a")] as const;
      const counts = [await names[0].count(), await names[1].count(), await names[2].count()];
      return Response.json({ d1: row?.one, r2: stored, counts });
    }
    case "/fetch":
      return attempt(() => fetch(target));
    case "/internet":
      return attempt(() => env.INTERNET.fetch(target));
    case "/socket": {
      const [hostname = "", port = ""] = target.split(":");
      return attempt(async () => {
        const socket = env.INTERNET.connect(
          { hostname, port: Number(port) },
          { secureTransport: "starttls", allowHalfOpen: false },
        );
        const name = url.searchParams.get("name");
        await socket.opened;
        return readSocket(name === null ? socket : socket.startTls({ expectedServerHostname: name }));
      });
    }
    case "/wait":
      await scheduler.wait(60_000);
      return new Response("waited");
    default:
      return new Response("unknown", { status: 404 });
  }
}

export default { fetch: answer };
