/** A server that answers as no server should, byte by byte, over TLS; and a resolver that leads to it. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttpsServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createServer, type TLSSocket } from "node:tls";
import { gzipSync } from "node:zlib";

const file = (name: string) => readFileSync(join(import.meta.dirname, "tls", name), "utf8");
const keypair = () => ({ cert: file("server.pem"), key: file("server.key") });

/** What a server does once it has read a request. */
export type Behaviour = (socket: TLSSocket, head: string) => void;

const answered = (text: string, headers = "") =>
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n${headers}\r\n${text}`;

/** Writes something again and again until nobody listens. */
function drip(socket: TLSSocket, text: string, everyMs: number): void {
  const timer = setInterval(() => void socket.write(text), everyMs);
  socket.on("close", () => clearInterval(timer));
}

/** 64 MiB of zeros, compressed. */
const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));

/** By the last part of the path. */
export const behaviours: Readonly<Record<string, Behaviour>> = {
  good: (socket) => socket.end(answered('{"good":true}')),
  host: (socket, head) => socket.end(answered(JSON.stringify({ host: /^host: (.*)$/im.exec(head)?.[1] }))),
  chunked: (socket) =>
    socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{"good\r\n7;x=y\r\n":true}\r\n0\r\n\r\n'),
  "until-close": (socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n{"good":true}'),
  silent: () => undefined,
  "drip-head": (socket) => {
    socket.write("HTTP/1.1 200 OK\r\n");
    drip(socket, "X-More: yes\r\n", 50);
  },
  "drip-body": (socket) => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    drip(socket, "x", 50);
  },
  endless: (socket) => {
    socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    drip(socket, `1000\r\n${"x".repeat(4096)}\r\n`, 1);
  },
  bomb: (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n\r\n`);
    socket.end(bomb);
  },
  "long-head": (socket) => {
    socket.write("HTTP/1.1 200 OK\r\n");
    drip(socket, `X-More: ${"x".repeat(8000)}\r\n`, 1);
  },
  "cut-short": (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"),
  "cut-head": (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-"),
  nonsense: (socket) => socket.end("SSH-2.0-OpenSSH_9.9\r\n\r\n"),
  "two-lengths": (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\n{}{}"),
  smuggled: (socket) =>
    socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
  reset: (socket) => void socket.destroy(),
};

/** A server that is running. */
export interface HostileServer {
  readonly port: number;
  /** First lines of all requests. */
  readonly requests: string[];
  /** Connections that are open at the moment. */
  readonly connections: () => number;
  close(): void;
}

/** Starts a server that does to each request what its path asks for; `redirect?<url>` leads elsewhere. */
export async function startHostileServer(): Promise<HostileServer> {
  const requests: string[] = [];
  const open = new Set<TLSSocket>();
  const server = createServer(keypair(), (socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket)).on("error", () => undefined);
    let head = "";
    socket.on("data", (chunk) => {
      const isNew = !head.includes("\r\n\r\n");
      head += chunk.toString("latin1");
      if (!isNew || !head.includes("\r\n\r\n")) return;
      const path = head.split(" ")[1] ?? "";
      requests.push(head.split("\r\n")[0] ?? "");
      const [name = "", to = ""] = path.slice(path.lastIndexOf("/") + 1).split("?");
      if (name === "redirect")
        socket.end(`HTTP/1.1 302 Found\r\nLocation: ${decodeURIComponent(to)}\r\nContent-Length: 0\r\n\r\n`);
      else
        (behaviours[name] ?? ((other) => void other.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")))(
          socket,
          head,
        );
    });
  });
  server.on("tlsClientError", () => undefined);
  const port = await listen(server);
  const close = () => {
    for (const socket of open) socket.destroy();
    server.close();
  };
  return { port, requests, connections: () => open.size, close };
}

/** Starts a DNS-over-HTTPS service that knows SRV records by their names. */
export async function startResolver(records: Readonly<Record<string, { host: string; port: number }>>) {
  const asked: string[] = [];
  const server: Server = createHttpsServer(keypair(), (request, response) => {
    const query = Buffer.from(new URL(request.url ?? "", "https://dns").searchParams.get("dns") ?? "", "base64url");
    const name = readName(query);
    asked.push(name);
    response.setHeader("Content-Type", "application/dns-message");
    response.end(srvAnswer(query, records[name] ?? null));
  });
  return { port: await listen(server), asked, close: () => void server.close() };
}

function readName(query: Buffer): string {
  const labels: string[] = [];
  for (let at = 12; (query[at] ?? 0) > 0; at += (query[at] ?? 0) + 1) {
    labels.push(query.subarray(at + 1, at + 1 + (query[at] ?? 0)).toString());
  }
  return labels.join(".");
}

function srvAnswer(query: Buffer, target: { host: string; port: number } | null): Buffer {
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(target === null ? 0x8183 : 0x8180, 2);
  header.writeUInt16BE(target === null ? 0 : 1, 6);
  if (target === null) return Buffer.concat([header, query.subarray(12)]);
  const labels = target.host
    .split(".")
    .map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  const data = Buffer.concat([Buffer.alloc(6), ...labels, Buffer.from([0])]);
  data.writeUInt16BE(target.port, 4);
  const record = Buffer.from([0xc0, 12, 0, 33, 0, 1, 0, 0, 1, 0x2c, 0, data.length]);
  return Buffer.concat([header, query.subarray(12), record, data]);
}

async function listen(
  server: { listen(port: number, host: string): unknown; address(): AddressInfo | string | null } & NodeJS.EventEmitter,
) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
