// Batches without end, by fetch: Node's own, and that of undici's newer release. `duplex: "half"` is what fetch calls it;
// both read while they write.

import { createRequire } from "node:module";
import { fetch as undiciFetch } from "undici";

import { Checks, TARGET, cases, expected } from "./lib.mjs";

const undici = createRequire(import.meta.url)("undici/package.json").version;
const checks = new Checks({ node: process.versions.node, undici });
const encoder = new TextEncoder();

// `lines` is an iterator that may wait.
async function exchange(fetch, lines) {
    // `ReadableStream.from` is not in Node 18.
    const source = encoded(lines);
    const body = new ReadableStream({
        async pull(controller) {
            const { done, value } = await source.next();
            if (done) controller.close();
            else controller.enqueue(value);
        },
    });
    return fetch(`${TARGET}/batch`, {
        method: "POST", duplex: "half", body, headers: { "content-type": "application/x-ndjson" },
        signal: AbortSignal.timeout(15_000),
    });
}

async function* encoded(lines) {
    for await (const line of lines) yield encoder.encode(line);
}

async function* split(body) {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    let rest = "";
    for await (const piece of body) {
        const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
        rest = lines.pop();
        for (const line of lines) if (line.trim()) yield JSON.parse(line);
    }
    if (rest) throw new Error(`half a line at the end: ${rest.slice(0, 100)}`);
}

async function answer(fetch, name, lines) {
    const results = [];
    await checks.attempt(`${name}: answer`, async () => {
        const response = await exchange(fetch, lines);
        checks.equal(`${name}: status`, response.status, 207);
        checks.equal(`${name}: type`, response.headers.get("content-type"), "application/x-ndjson");
        for await (const result of split(response.body)) results.push(result);
    });
    checks.equal(`${name}: the last line is the only summary`, results.map(r => "summary" in r), results.map((_, i) => i === results.length - 1));
    return { results: results.filter(r => !r.summary), summary: results.at(-1)?.summary };
}

const line = operation => JSON.stringify(operation) + "\n";
const byIndex = (a, b) => a - b;

async function check(fetch, by) {
    for (const { name: title, operations, ...rest } of cases("lines")) {
        const want = await expected({ operations, ...rest });
        const name = `${by}, ${title}`;
        const { results, summary } = await answer(fetch, name, operations.map(line));
        checks.equal(`${name}: one result for each operation`, results.map(r => r.index).sort(byIndex), want.map((_, index) => index));
        for (const [index, expectation] of want.entries()) {
            const result = results.find(r => r.index === index);
            if (!result) continue;
            const label = `${name} [${index}]`;
            checks.equal(`${label}: id`, result.id, operations[index].id);
            if (expectation.status >= 400 && !expectation.ofLayer && !expectation.body.length) {
                checks.equal(`${label}: status`, result.status, expectation.status);
                continue;
            }
            checks.same(label, native(result), expectation);
        }
        const succeeded = want.filter(({ status }) => status < 400).length;
        checks.equal(`${name}: summary`, summary, { total: want.length, succeeded, failed: want.length - succeeded });
    }

    const order = await answer(fetch, `${by}, order`, ["/slow/200", "/slow/0", "/slow/90"].map(path => line({ path })));
    checks.equal(`${by}, order: as they end`, order.results.map(r => r.index), [1, 2, 0]);

    const bad = ["{\n", '{"path":"/users/1"}\n', "\n", "5\n", " \r\n", `{"path":"/echo","method":"POST","body":"${"x".repeat(1 << 20)}"}\n`, '{"path":"/users/2"}'];
    const { results, summary } = await answer(fetch, `${by}, bad lines`, bad);
    checks.equal(`${by}, bad lines: statuses`, [...results].sort((a, b) => a.index - b.index).map(r => r.status), [400, 200, 400, 413, 200]);
    checks.equal(`${by}, bad lines: summary`, summary, { total: 5, succeeded: 2, failed: 3 });

    const count = 3000;
    const many = await answer(fetch, `${by}, many`, Array.from({ length: count }, (_, i) => line({ id: `n${i}`, path: `/users/${1 + i % 3}` })));
    checks.equal(`${by}, many: all of them`, many.results.map(r => r.index).sort(byIndex), Array.from({ length: count }, (_, i) => i));
    checks.equal(`${by}, many: each by its id`, many.results.filter(r => r.id !== `n${r.index}`), []);
    checks.equal(`${by}, many: total`, many.summary?.total, count);

    // Each operation is written only when the result of the one before has been read.
    const seen = [];
    let next;
    const wait = () => new Promise(resolve => { next = resolve; });
    async function* talk() {
        for (let i = 0; i < 20; i++) {
            const read = wait();
            yield line({ path: `/users/${i % 4}` });
            await Promise.race([read, new Promise((_, reject) => setTimeout(() => reject(new Error("nothing is read while it writes")), 5000).unref())]);
        }
    }
    await checks.attempt(`${by}, dialogue`, async () => {
        const response = await exchange(fetch, talk());
        for await (const result of split(response.body)) {
            seen.push(result.index ?? "summary");
            next();
        }
    });
    checks.equal(`${by}, dialogue: results`, seen, [...Array(20).keys(), "summary"]);
}

function native(result) {
    const headers = { ...result.headers };
    const value = "data" in result ? result.data : result.error;
    if (result.encoding === "base64") return { status: result.status, headers, body: Buffer.from(value, "base64") };
    if (value === undefined) return { status: result.status, headers, body: Buffer.alloc(0) };
    if (headers["content-type"] && typeof value === "string") return { status: result.status, headers, body: Buffer.from(value) };
    headers["content-type"] ??= "application/json";
    return { status: result.status, headers, body: Buffer.from(JSON.stringify(value)) };
}

await check(globalThis.fetch, "node");
await check(undiciFetch, "undici");
checks.report();
