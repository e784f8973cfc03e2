// The Vercel AI SDK before a router, over one of three providers; prints what it saw as one JSON object.
//
//     node vercel_ai.mjs NODE_MODULES BASE_URL PROVIDER
//
// PROVIDER is openai-compatible, openai (its default speaks Responses) or anthropic. Packages that are not beside this
// file cannot be imported by name, so their folder is given.
import { createRequire } from "node:module";
import { join } from "node:path";

const [, , folder, baseURL, provider] = process.argv;
const load = createRequire(join(folder, "ai", "package.json"));
const { generateText, streamText, generateObject, tool, jsonSchema, stepCountIs } = load("ai");
const required = (name) => createRequire(join(folder, name, "package.json"))(name);

const makers = {
  "openai-compatible": () => required("@ai-sdk/openai-compatible").createOpenAICompatible({
    name: "openfusion", baseURL, apiKey: "sk-any", includeUsage: true, supportsStructuredOutputs: true,
  }),
  openai: () => required("@ai-sdk/openai").createOpenAI({ baseURL, apiKey: "sk-any" }),
  anthropic: () => required("@ai-sdk/anthropic").createAnthropic({ baseURL, apiKey: "sk-any" }),
};
const chosen = makers[provider]();
const auto = "openfusion/auto";
const model = chosen(auto);
const schema = jsonSchema({
  type: "object", properties: { path: { type: "string" } }, required: ["path"],
  additionalProperties: false,
});
const ran = [];
const tools = {
  read_file: tool({
    description: "Read a file.", inputSchema: schema,
    execute: async (input) => { ran.push(input); return "return 2 + 2"; },
  }),
};
// Left to itself the provider for Responses refers to earlier items by id, which only a server that stores them knows.
const unstored = { openai: { store: false } };
const shared = { model, maxRetries: 0, maxOutputTokens: 500, providerOptions: unstored };

// What the script of the upstream says, in the same order: see test_vercel_ai.py.
async function whole() {
  const { text, finishReason, usage, response } = await generateText({ ...shared, prompt: "Hi" });
  return { text, finishReason, usage, model: response.modelId };
}

async function streamed() {
  const result = streamText({ ...shared, prompt: "Hi", onError: ({ error }) => { throw error; } });
  let text = "";
  let count = 0;
  for await (const piece of result.textStream) {
    text += piece;
    count += 1;
  }
  return { text, count, finishReason: await result.finishReason, usage: await result.usage };
}

async function looped() {
  const { text, steps } = await generateText({
    ...shared, prompt: "Read it.", tools, stopWhen: stepCountIs(4),
  });
  return {
    text, steps: steps.length,
    calls: steps.flatMap((s) => s.toolCalls.map((c) => [c.toolCallId, c.toolName, c.input])),
  };
}

async function loopedStreamed() {
  const result = streamText({
    ...shared, prompt: "Read it.", tools, stopWhen: stepCountIs(4),
    onError: ({ error }) => { throw error; },
  });
  const kinds = new Set();
  for await (const part of result.fullStream) kinds.add(part.type);
  const steps = await result.steps;
  return {
    text: await result.text, kinds: [...kinds], steps: steps.length,
    calls: steps.flatMap((s) => s.toolCalls.map((c) => [c.toolCallId, c.toolName, c.input])),
  };
}

async function object() {
  const made = await generateObject({
    ...shared, prompt: "Which?", schemaName: "city",
    schema: jsonSchema({
      type: "object", properties: { name: { type: "string" }, people: { type: "integer" } },
      required: ["name", "people"], additionalProperties: false,
    }),
  });
  return made.object;
}

async function reasoned() {
  const { text, reasoningText } = await generateText({
    ...shared, maxOutputTokens: 4000, prompt: "2+2?",
    providerOptions: {
      anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } },
      openai: { forceReasoning: true, reasoningEffort: "low", reasoningSummary: "auto", store: false },
    },
  });
  return { text, reasoning: reasoningText ?? null };
}

async function failure(asked) {
  try {
    await generateText({ ...shared, prompt: "Hi", ...asked });
    return { none: true };
  } catch (error) {
    return { name: error.name, status: error.statusCode ?? null, message: error.message, retryable: error.isRetryable };
  }
}

async function referred() {
  try {
    const { text } = await generateText({
      ...shared, providerOptions: {}, prompt: "Read it.", tools, stopWhen: stepCountIs(4),
    });
    return { text };
  } catch (error) {
    return { status: error.statusCode ?? null, message: error.message };
  }
}

async function cut() {
  let caught = null;
  let text = "";
  const result = streamText({ ...shared, prompt: "Hi", onError: ({ error }) => { caught = error; } });
  for await (const part of result.fullStream) {
    if (part.type === "text-delta") text += part.text;
  }
  return { text, error: caught === null ? null : String(caught.message ?? JSON.stringify(caught)) };
}

const seen = {
  whole: await whole(), streamed: await streamed(), looped: await looped(),
  loopedStreamed: await loopedStreamed(), object: await object(), reasoned: await reasoned(),
  limited: await failure({}), unknown: await failure({ model: chosen("openfusion/aut") }),
  cut: await cut(), referred: await referred(), ran,
};
process.stdout.write(JSON.stringify(seen));
