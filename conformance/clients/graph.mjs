// Microsoft Graph: the SDK's own reading and writing of batches, and its own client.

import { readFileSync } from "node:fs";
import { BatchRequestContent, BatchResponseContent, Client } from "@microsoft/microsoft-graph-client";

import { Checks, ORACLE, TARGET } from "./lib.mjs";
import { batches, check, expectations } from "./odata_lib.mjs";

const { version } = JSON.parse(readFileSync(new URL("../node_modules/@microsoft/microsoft-graph-client/package.json", import.meta.url)));
const checks = new Checks({ "microsoft-graph-client": version, node: process.versions.node });
const client = Client.init({
    baseUrl: TARGET,
    defaultVersion: "",
    authProvider: done => done(null, "a token"),
    customHosts: new Set(["127.0.0.1"]),
});

for (const [name, requests] of Object.entries(batches)) {
    const content = await checks.attempt(`${name}: request`, () => new BatchRequestContent(requests.map(({ url, dependsOn, method, body, headers }, index) => ({
        id: String(index + 1), request: new Request(ORACLE + url, { method, body, headers }), ...(dependsOn && { dependsOn }),
    }))).getContent());
    const want = await expectations(requests);
    const answer = await checks.attempt(`${name}: answer`, () => client.api("/$batch").post(content));
    checks.equal(`${name}: ids`, answer?.responses?.map(({ id }) => id), requests.map((_, index) => String(index + 1)));
    const responses = answer && await checks.attempt(`${name}: can be read`, () => new BatchResponseContent(answer));
    if (!responses) continue;
    checks.equal(`${name}: number`, responses.getResponses().size, requests.length);
    for (const [index, expectation] of want.entries()) {
        const response = responses.getResponseById(String(index + 1));
        const label = `${name} [${index}]`;
        checks.true(`${label}: is there`, response);
        if (!response) continue;
        const { status, headers } = response;
        check(checks, label, { status, headers: Object.fromEntries(headers), text: await response.text() }, expectation, requests[index].layer);
    }
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
