// The official `openai` package for JavaScript before a router; prints what it saw as one JSON object.
//
//     node openai_npm.mjs PACKAGE_FOLDER BASE_URL
//
// A package that is not beside this file cannot be imported by name, so its folder is given.
import { createRequire } from "node:module";
import { join } from "node:path";

const [, , folder, baseURL] = process.argv;
const OpenAI = createRequire(join(folder, "package.json"))("openai").default;
const client = new OpenAI({ baseURL, apiKey: "sk-any", maxRetries: 0 });
const model = "openfusion/auto";
const tools = [
  { type: "function", function: { name: "read_file", parameters: { type: "object" } } },
  { type: "function", function: { name: "emoji", parameters: { type: "object" } } },
];
const user = (content) => [{ role: "user", content }];

async function failure(body) {
  try {
    const answer = await client.chat.completions.create(body);
    if (body.stream) for await (const _ of answer);
    return { none: true };
  } catch (error) {
    return {
      kind: error.constructor.name, status: error.status ?? null, code: error.code ?? null,
      type: error.type ?? null, param: error.param ?? null,
      retry_after: error.headers?.get?.("retry-after") ?? null,
    };
  }
}

async function whole() {
  const { data, response } = await client.chat.completions
    .create({ model, messages: user("[[say:héllo 你好]]") }).withResponse();
  return {
    text: data.choices[0].message.content, finish: data.choices[0].finish_reason, model: data.model,
    usage: data.usage, trace: data.openfusion, header: response.headers.get("x-openfusion-model"),
  };
}

async function streamed() {
  const stream = await client.chat.completions.create({
    model, messages: user("[[words:30]]"), stream: true, stream_options: { include_usage: true },
  });
  let text = "";
  let last = null;
  let count = 0;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    last = chunk;
    count += 1;
  }
  return { text, count, usage: last.usage, choices: last.choices.length, trace: last.openfusion };
}

async function calls(asked) {
  const answer = await client.chat.completions.create({ model, messages: user(asked), tools });
  const runner = client.chat.completions.stream({ model, messages: user(asked), tools });
  const final = await runner.finalChatCompletion();
  const seen = ({ choices: [{ message, finish_reason }] }) => ({
    finish: finish_reason,
    calls: message.tool_calls.map((c) => [c.function.name, c.function.arguments]),
  });
  const told = { ...answer.choices[0].message };
  const results = told.tool_calls.map((c) => ({ role: "tool", tool_call_id: c.id, content: "done" }));
  const ended = await client.chat.completions.create({
    model, tools, messages: [...user(asked), told, ...results],
  });
  return {
    whole: seen(answer), streamed: seen(final), same_model: ended.model === answer.model,
    then: ended.choices[0].message.content,
  };
}

async function models() {
  const ids = [];
  for await (const one of client.models.list()) ids.push(one.id);
  const found = await Promise.all(ids.map(async (id) => (await client.models.retrieve(id)).id));
  return { ids, found };
}

async function left() {
  const stream = await client.chat.completions.create({
    model, messages: user("[[fault:F73]][[words:20]]"), stream: true,
  });
  let seen = "";
  for await (const chunk of stream) {
    seen += chunk.choices[0]?.delta?.content ?? "";
    if (seen) break; // leaving the loop aborts the request
  }
  return { seen };
}

const asked =
  '[[tool:read_file { "path" : "src/a b.py" }]][[tool:emoji {"text":"🧑‍💻 \\ud83d\\ude80"}]][[say:Both read.]]';
console.log(JSON.stringify({
  whole: await whole(),
  streamed: await streamed(),
  tools: await calls(asked),
  models: await models(),
  left: await left(),
  errors: {
    unknown: await failure({ model: "openfusion/aut", messages: user("Hi") }),
    wrong: await failure({ model, messages: user("Hi"), temperature: "warm", stream: true }),
    limited: await failure({ model, messages: user("[[fault:F12]]") }),
    down: await failure({ model, messages: user("[[fault:F19]]"), stream: true }),
    broken: await failure({ model, messages: user("[[fault:F63]][[words:30]]"), stream: true }),
  },
}));
