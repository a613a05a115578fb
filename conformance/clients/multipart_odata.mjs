// OData's multipart, by @odata/client. Each write is a change set of its own.

import { readFileSync } from "node:fs";
import { OData } from "@odata/client";

import { Checks, TARGET, asked, direct, isText, parsed, plain } from "./lib.mjs";
import { asText } from "./multipart_lib.mjs";

const { version } = JSON.parse(readFileSync(new URL("../node_modules/@odata/client/package.json", import.meta.url)));
const checks = new Checks({ "@odata/client": version, node: process.versions.node });

// It lets others do the sending, so that the head of the whole can be seen.
let whole;
const client = OData.New4({
    serviceEndpoint: `${TARGET}/`,
    fetchProxy: async (url, init) => {
        whole = await fetch(url, init);
        return { response: whole, content: await whole.text() };
    },
});

async function written({ method, path, headers, body }) {
    const request = await client.newBatchRequest({ collection: path.slice(1), method });
    // Its own options have no headers, and take `Content-Type` from JSON.
    request.init = { method, headers, body: body?.toString() };
    return request;
}

async function run(name, requests, want) {
    const answer = await checks.attempt(`${name}: answer`, () => client.execBatchRequests(requests.map(written)));
    checks.equal(`${name}: number`, answer?.length, requests.length);
    if (!answer) return;
    checks.equal(`${name}: status of the batch`, whole.status, 200);
    checks.true(`${name}: its type`, /^multipart\/mixed; boundary=batchresponse_[-\w]+$/.test(whole.headers.get("content-type")));
    checks.equal(`${name}: not to be stored`, whole.headers.get("cache-control"), "no-store");
    for (const [index, expectation] of want.entries()) {
        const response = answer[index];
        const label = `${name} [${index}]`;
        checks.true(`${label}: is there`, response);
        if (!response) continue;
        const names = Object.keys(response.headers);
        checks.equal(`${label}: names of headers`, names.filter(header => header !== "ETag" && !/^[A-Z][a-z]+(-[A-Z][a-z]+)*$/.test(header)), []);
        const headers = Object.fromEntries(names.map(header => [header.toLowerCase(), response.headers[header]]));
        // The line end before a boundary belongs to that; this client leaves it to the body.
        const text = (await response.text()).replace(/\r\n$/, "");
        if (expectation.ofLayer) {
            checks.equal(`${label}: status`, response.status, expectation.status);
            checks.equal(`${label}: error`, typeof parsed(text)?.error?.message, "string");
            continue;
        }
        checks.true(`${label}: reason`, response.statusText);
        if (!expectation.body.includes("\n") && isText(expectation.body)) checks.equal(`${label}: length`, headers["content-length"], String(Buffer.byteLength(text)));
        checks.same(label, { status: response.status, headers, body: Buffer.from(text) }, { ...expectation, body: Buffer.from(asText(expectation.body)) });
    }
}

// It takes each request that is not a GET for one that writes, and so puts it into a change set. Bodies are text.
for (const { name, operations, expect } of plain(operation => isText(asked(operation).body))) {
    const requests = operations.map(asked);
    const want = [];
    for (const [index, { method, path, headers, body }] of requests.entries()) {
        // It sends a line end behind each body, and one more that belongs to the boundary.
        want.push(expect[index] ? { status: expect[index], ofLayer: true } : await direct(method, path, headers, body && Buffer.concat([body, Buffer.from("\r\n")])));
    }
    await run(name, requests, want);
}

// As it writes requests of entities by itself.
const entities = [
    client.newBatchRequest({ collection: "users", method: "POST", entity: { name: "Zoë 漢字 🦀", email: "zoe@example.com" } }),
    client.newBatchRequest({ collection: "users", id: 2 }),
    client.newBatchRequest({ collection: "users", id: 2, method: "PATCH", entity: { name: "Hopper" } }),
    client.newBatchRequest({ collection: "users", id: 2, method: "DELETE" }),
    client.newBatchRequest({ collection: "users", id: 2 }),
];
const answer = await checks.attempt("entities: answer", () => client.execBatchRequests(entities));
for (const [index, { url, init: { method, headers, body } }] of (await Promise.all(entities)).entries()) {
    const want = await direct(method, `/${url}`, headers, method === "GET" ? undefined : JSON.stringify(body));
    checks.equal(`entities [${index}]: status`, answer?.[index]?.status, want.status);
    if (want.body.length) checks.equal(`entities [${index}]: what is read`, await answer?.[index]?.json(), parsed(want.body));
}

checks.report();
