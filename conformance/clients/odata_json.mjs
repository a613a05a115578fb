// OData 4.01 JSON, by @odata/client: its own writing and reading of batches.

import { readFileSync } from "node:fs";
import { OData } from "@odata/client";

import { Checks, TARGET, parsed } from "./lib.mjs";
import { batches, check, expectations, get, json, layer, serial } from "./odata_lib.mjs";

const { version } = JSON.parse(readFileSync(new URL("../node_modules/@odata/client/package.json", import.meta.url)));
const checks = new Checks({ "@odata/client": version, node: process.versions.node });
const service = commonHeaders => OData.New4({ serviceEndpoint: `${TARGET}/`, commonHeaders });
const client = service();

const inGroup = (group, ...requests) => requests.map(request => ({ ...request, group }));
const after = (id, request) => ({ ...request, dependsOn: [id] });
const post = (body, type) => ({ method: "POST", url: "/echo", headers: { "content-type": type }, body });

const more = {
    ...batches,
    "JSON of other kinds": [json("POST", "/echo", [1, -0.5, null, { a: [] }]), json("POST", "/echo", "text")],
    "text": [post("naïve 漢字 🦀", "text/plain; charset=utf-8"), post("<a href=\"x\">&amp;</a>", "text/html"), { ...post("_wAB_g", "image/png"), alone: { body: Buffer.from("_wAB_g", "base64url") } }],
    // Ids count from 1. A group is one thing to depend on, and so is its name.
    "a group that counts": [
        ...inGroup("g", json("POST", "/users", { name: "Mallory", email: "m@example.com" }), json("PATCH", "/users/2", { name: "Hopper" })),
        after("g", get("/users/5")), after("g", get("/users/2"))],
    "a group that doesn't": [
        ...inGroup("g", layer(424)(json("PATCH", "/users/2", { name: "Nobody" })), { method: "DELETE", url: "/users/0" }, layer(424)({ method: "DELETE", url: "/users/3" })),
        layer(424)(after("g", get("/users/1")))],
    "nothing of that group is left": [get("/users/2"), get("/users/3"), get("/users/6")],
    "where the new one is": [json("POST", "/users", { name: "Peggy", email: "p@example.com" }), { ...after("1", json("PATCH", "$1", { name: "Margaret" })), alone: { url: "/users/6" } }],
    "what that has done": [get("/users/6")],
};

const written = ({ method, url, headers, body, dependsOn, group }, index) => client.newBatchRequest({
    collection: url, method, requestId: String(index + 1), dependsOn, atomicityGroup: group,
}).then(request => {
    // Its own options have no headers, and take `Content-Type` from JSON.
    request.init.headers = headers ?? {};
    request.init.body = body && (parsed(body) ?? body);
    return request;
});

async function run(name, requests, through = client) {
    const want = await expectations(requests.map(request => ({ ...request, ...request.alone })));
    const answer = await checks.attempt(`${name}: answer`, () => through.execBatchRequestsJson(requests.map(written)));
    checks.equal(`${name}: ids`, answer?.map(({ raw }) => raw.id), requests.map((_, index) => String(index + 1)));
    checks.equal(`${name}: groups`, answer?.map(({ raw }) => raw.atomicityGroup), requests.map(({ group }) => group));
    for (const [index, expectation] of want.entries()) {
        const response = answer?.[index];
        const label = `${name} [${index}]`;
        checks.true(`${label}: is there`, response);
        if (!response) continue;
        const { status, headers, raw } = response;
        const lower = Object.fromEntries(Object.entries(headers ?? {}).map(([header, value]) => [header.toLowerCase(), value]));
        const body = await response.json();
        // JSON is a value, and whatever else there is a string.
        const text = body === null || body === undefined ? "" : lower["content-type"] === "application/json" ? await response.text() : body;
        checks.equal(`${label}: names of headers`, Object.keys(headers ?? {}).filter(header => !/^[A-Z]/.test(header)), []);
        checks.true(`${label}: body`, typeof text === "string" && raw.body !== undefined && (raw.body === null) === (expectation.body?.length === 0));
        check(checks, label, { status, headers: lower, text: String(text) }, expectation, requests[index].layer);
    }
}

for (const [name, requests] of Object.entries(more)) await run(name, requests);

// What it is told in a header of the whole.
await run("stop after a failure",
    serial(get("/users/2"), get("/users/3")).concat({ method: "DELETE", url: "/users/0" }, layer(424)({ method: "DELETE", url: "/users/2" })),
    service({ Prefer: "continue-on-error=false" }));
await run("nothing of what was stopped has run", [get("/users/2")]);

// Of a batch that is refused as a whole it reads no response, and doesn't throw.
for (const [name, requests] of [["no requests", []], ["an id twice", [get("/users/2"), get("/users/3")].map(request => written(request, 0))]]) {
    const answer = await checks.attempt(name, () => client.execBatchRequestsJson(requests));
    checks.equal(`${name}: nothing`, answer, []);
}

checks.report();
