// Microsoft Graph: the SDK's own reading and writing of batches, and its own client.

import { readFileSync } from "node:fs";
import { BatchRequestContent, BatchResponseContent, Client } from "@microsoft/microsoft-graph-client";

import { Checks, ORACLE, TARGET, direct, parsed } from "./lib.mjs";

const { version } = JSON.parse(readFileSync(new URL("../node_modules/@microsoft/microsoft-graph-client/package.json", import.meta.url)));
const checks = new Checks({ "microsoft-graph-client": version, node: process.versions.node });
const client = Client.init({
    baseUrl: TARGET,
    defaultVersion: "",
    authProvider: done => done(null, "a token"),
    customHosts: new Set(["127.0.0.1"]),
});

const json = (method, url, body) => ({ method, url, body: JSON.stringify(body), headers: { "content-type": "application/json" } });
const get = url => ({ method: "GET", url });
const serial = (...requests) => requests.map((request, index) => ({ ...request, dependsOn: index ? [String(index)] : undefined }));
const same = (first, ...others) => [first, ...others.map(request => ({ ...request, dependsOn: ["1"] }))];
const layer = status => request => ({ ...request, layer: status });

// Ids are "1", "2" … in this order. Requests without dependencies run side by side.
const batches = {
    "success": [get("/users/1"), get("/users/2"), { method: "HEAD", url: "/users/3" }],
    "not found": [get("/users/0"), get("/nothing/here"), { method: "DELETE", url: "/users/nobody" }, get("/users/1")],
    "created": [json("POST", "/users", { name: "Eve", email: "eve@example.com" })],
    "one after the other": serial(
        json("PATCH", "/users/4", { name: "Eva" }), get("/users/4"), json("PUT", "/users/4", { name: "E", email: "e@example.com" }),
        { method: "DELETE", url: "/users/4" }, get("/users/4")),
    "binary": [get("/blob/16"), get("/blob/1"), get("/blob/0"), get("/blob/70000"), get("/blob/99999999999")],
    "panic": [get("/users/1"), layer(500)(get("/boom")), get("/users/2")],
    "dependency that fails": serial(get("/users/0"), layer(424)(get("/users/1")), layer(424)(get("/users/2"))),
    "same dependency": same(get("/users/1"), get("/users/2"), get("/blob/3"), get("/users/0")),
    "same dependency that fails": same(get("/users/0"), layer(424)(get("/users/1")), layer(424)({ method: "DELETE", url: "/users/1" })),
    "no body": [{ method: "POST", url: "/users" }, { method: "DELETE", url: "/users/1" }, { method: "DELETE", url: "/users/9" }],
    "what the one before has done": [get("/users/1"), get("/users/2")],
    "not allowed": [json("POST", "/users/2", {}), json("POST", "/users", { name: "Nobody" })],
    "not ASCII": [json("POST", "/echo", { "ключ": "naïve 漢字 🦀 \u2028 é" }), get("/users/%C3%BC"), get("/users/2?$filter=a%20eq%20'b'")],
    "control characters": [json("POST", "/echo", { a: "\0\u0001\u007f\u0085\ufffe\r\n\t", "\u0007": "</script>" })],
    "JSON of other kinds": [json("POST", "/echo", [1, -0.5, null, { a: [] }]), json("POST", "/echo", "text"), json("POST", "/echo", 0)],
    "as many as there may be": Array.from({ length: 20 }, (_, index) => get(`/users/${index % 5}`)),
};

for (const [name, requests] of Object.entries(batches)) {
    const content = await checks.attempt(`${name}: request`, () => new BatchRequestContent(requests.map(({ url, dependsOn, method, body, headers }, index) => ({
        id: String(index + 1), request: new Request(ORACLE + url, { method, body, headers }), ...(dependsOn && { dependsOn }),
    }))).getContent());
    const want = [];
    for (const { layer, method, url, headers, body } of requests) want.push(layer ? { status: layer } : await direct(method, url, headers, body));
    const answer = await checks.attempt(`${name}: answer`, () => client.api("/$batch").post(content));
    checks.equal(`${name}: ids`, answer?.responses?.map(({ id }) => id), requests.map((_, index) => String(index + 1)));
    const responses = answer && await checks.attempt(`${name}: can be read`, () => new BatchResponseContent(answer));
    if (!responses) continue;
    checks.equal(`${name}: number`, responses.getResponses().size, requests.length);
    for (const [index, expectation] of want.entries()) {
        const response = responses.getResponseById(String(index + 1));
        const label = `${name} [${index}]`;
        checks.true(`${label}: is there`, response);
        if (response) await check(label, response, expectation, requests[index].layer);
    }
}

async function check(label, response, want, ofLayer) {
    const text = await response.text();
    if (ofLayer) {
        checks.equal(`${label}: status`, response.status, want.status);
        const error = parsed(text)?.error;
        checks.equal(`${label}: error`, [typeof error?.code, typeof error?.message], ["string", "string"]);
        return;
    }
    const headers = Object.fromEntries(response.headers);
    // Nothing is told of the type of what isn't there: this client would make "null" of it.
    if (!want.body.length) delete want.headers["content-type"];
    // What is no JSON and no text is base64, which is for the reader to decode.
    const isBinary = want.headers["content-type"] === "application/octet-stream";
    checks.same(label, { status: response.status, headers, body: Buffer.from(text, isBinary ? "base64" : "utf8") }, want);
}

// What this client never writes itself, and so is sent as it is.
const faulty = [
    { id: "1", method: "GET", url: "/users/2" },
    { id: "2", method: "G ET", url: "/users/2" },
    { id: "3", method: "GET", url: "//elsewhere.example/" },
    { id: "4", method: "GET", url: "http://elsewhere.example/users/2" },
    { id: "5", method: "GET", url: "/users/2", headers: { authorization: "Bearer x" } },
    { id: "6", method: "GET", url: "/users/2", dependsOn: ["nobody"] },
    { id: "7", method: "GET" },
    { id: "8", url: "/users/2" },
    { id: "9", method: "GET", url: "/users/3" },
];
const answer = await checks.attempt("faulty: answer", () => client.api("/$batch").post({ requests: faulty }));
checks.equal("faulty: statuses", answer?.responses?.map(({ id, status }) => `${id} ${status}`), faulty.map(({ id }) => `${id} ${["1", "9"].includes(id) ? 200 : 400}`));
for (const { id, status, body } of answer?.responses ?? []) {
    if (status === 400) checks.equal(`faulty ${id}: error`, [typeof body?.error?.code, typeof body?.error?.message], ["string", "string"]);
}

// Whether it is one for this client: the whole, by its own name and status.
const raw = await client.api("/$batch").responseType("raw").post({ requests: [{ id: "1", method: "POST", url: "/users/2", body: {} }] }).catch(error => checks.fail(`raw: ${error}`));
checks.equal("raw: status", raw?.status, 200);
checks.equal("raw: type", raw?.headers.get("content-type"), "application/json");
const [first] = (await checks.attempt("raw: is JSON", () => raw.json()))?.responses ?? [];
// In the case in which the SDKs look them up.
checks.equal("raw: names of headers", Object.keys(first?.headers ?? {}).sort(), ["Allow", "Content-Type"]);

// An error of the whole is one that the client throws.
for (const [name, content, status] of [["no requests", { requests: [] }, 400], ["an id twice", { requests: [{ id: "1", method: "GET", url: "/" }, { id: "1", method: "GET", url: "/" }] }, 400]]) {
    const error = await client.api("/$batch").post(content).then(() => undefined, error => error);
    checks.equal(`${name}: status`, error?.statusCode, status);
}

checks.report();
