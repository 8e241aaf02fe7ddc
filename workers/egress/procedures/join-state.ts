/** The state of a room on its way from a server that tells it to the room's actor. */
import { describeError } from "../../../shared/log.ts";
import type { EgressContext } from "../context.ts";
import type { OpenedAnswer } from "../request.ts";
import { NextServer } from "./candidates.ts";
import { JoinAnswerReader, type JoinFacts } from "./join-answer.ts";
import { StateBatches, type Telling } from "./state-batches.ts";

type Answer = Extract<OpenedAnswer, { kind: "answered" }>;

/**
 * Hands on all events of the answer, batch by batch, each with the keys that it is to be checked by.
 * @returns also how many events of the state there were
 * @throws NextServer when the answer breaks off; AnswerChanged when it is not the one that was begun
 */
export async function streamState(
  egress: EgressContext,
  answer: Answer,
  telling: Telling,
): Promise<JoinFacts & { stateEvents: number }> {
  const answerReader = new JoinAnswerReader();
  const batches = new StateBatches(egress, telling);
  const decoder = new TextDecoder();
  const reader = answer.body.getReader();
  try {
    for (;;) {
      const { done, value } = await readOf(reader);
      if (value !== undefined)
        for (const told of answerReader.push(decoder.decode(value, { stream: true }))) await batches.add(told);
      if (done) break;
    }
    await batches.end();
  } catch (thrown) {
    await reader.cancel(thrown).catch(() => undefined);
    throw thrown;
  }
  const facts = answerReader.end();
  if (facts === null) throw new NextServer("its answer is no JSON object, or broke off");
  return { ...facts, stateEvents: batches.stateEvents };
}

async function readOf(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<ReadableStreamReadResult<Uint8Array>> {
  try {
    return await reader.read();
  } catch (thrown) {
    throw new NextServer(`its answer broke off: ${describeError(thrown)}`);
  }
}
